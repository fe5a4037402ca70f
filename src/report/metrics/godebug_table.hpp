// Go's counters of how often a setting in GODEBUG has changed what its libraries do; those of all
// versions from 1.24 to 1.27. They concern libraries that are not here, or old behavior that we
// never had, and stay 0, so that a dashboard finds what it asks for.
#pragma once

#include "report/metrics/table.hpp"

namespace gort::report::entries {

constexpr metric setting(std::string_view name) {
  return count(name, zero, "How often that setting in GODEBUG has made a difference.");
}

inline constexpr metric godebug_table[] = {
    setting("/godebug/non-default-behavior/allowmultiplevcs:events"),
    setting("/godebug/non-default-behavior/asynctimerchan:events"),
    setting("/godebug/non-default-behavior/containermaxprocs:events"),
    setting("/godebug/non-default-behavior/cryptocustomrand:events"),
    setting("/godebug/non-default-behavior/embedfollowsymlinks:events"),
    setting("/godebug/non-default-behavior/execerrdot:events"),
    setting("/godebug/non-default-behavior/fips140ems:events"),
    setting("/godebug/non-default-behavior/gocachehash:events"),
    setting("/godebug/non-default-behavior/gocachetest:events"),
    setting("/godebug/non-default-behavior/gocacheverify:events"),
    setting("/godebug/non-default-behavior/gotestjsonbuildtext:events"),
    setting("/godebug/non-default-behavior/gotypesalias:events"),
    setting("/godebug/non-default-behavior/htmlmetacontenturlescape:events"),
    setting("/godebug/non-default-behavior/http2client:events"),
    setting("/godebug/non-default-behavior/http2server:events"),
    setting("/godebug/non-default-behavior/httpcookiemaxnum:events"),
    setting("/godebug/non-default-behavior/httplaxcontentlength:events"),
    setting("/godebug/non-default-behavior/httpmuxgo121:events"),
    setting("/godebug/non-default-behavior/httpservecontentkeepheaders:events"),
    setting("/godebug/non-default-behavior/httpservecontentmaxranges:events"),
    setting("/godebug/non-default-behavior/installgoroot:events"),
    setting("/godebug/non-default-behavior/multipartmaxheaders:events"),
    setting("/godebug/non-default-behavior/multipartmaxparts:events"),
    setting("/godebug/non-default-behavior/multipathtcp:events"),
    setting("/godebug/non-default-behavior/netedns0:events"),
    setting("/godebug/non-default-behavior/panicnil:events"),
    setting("/godebug/non-default-behavior/randautoseed:events"),
    setting("/godebug/non-default-behavior/randseednop:events"),
    setting("/godebug/non-default-behavior/rsa1024min:events"),
    setting("/godebug/non-default-behavior/tarinsecurepath:events"),
    setting("/godebug/non-default-behavior/tls10server:events"),
    setting("/godebug/non-default-behavior/tls3des:events"),
    setting("/godebug/non-default-behavior/tlsmaxrsasize:events"),
    setting("/godebug/non-default-behavior/tlsrsakex:events"),
    setting("/godebug/non-default-behavior/tlssha1:events"),
    setting("/godebug/non-default-behavior/tlsunsafeekm:events"),
    setting("/godebug/non-default-behavior/updatemaxprocs:events"),
    setting("/godebug/non-default-behavior/urlmaxqueryparams:events"),
    setting("/godebug/non-default-behavior/urlstrictcolons:events"),
    setting("/godebug/non-default-behavior/winreadlinkvolume:events"),
    setting("/godebug/non-default-behavior/winsymlink:events"),
    setting("/godebug/non-default-behavior/x509keypairleaf:events"),
    setting("/godebug/non-default-behavior/x509negativeserial:events"),
    setting("/godebug/non-default-behavior/x509rsacrt:events"),
    setting("/godebug/non-default-behavior/x509sha256skid:events"),
    setting("/godebug/non-default-behavior/x509sslcertoverrideplatform:events"),
    setting("/godebug/non-default-behavior/x509usefallbackroots:events"),
    setting("/godebug/non-default-behavior/x509usepolicies:events"),
    setting("/godebug/non-default-behavior/zipinsecurepath:events"),
};

}  // namespace gort::report::entries
