// TLS over any stream, by OpenSSL.
#pragma once

#include <memory>
#include <string>
#include <system_error>

#include <gort/http/stream.hpp>

namespace gort::http {

/// What connections share: certificate and key, or the trusted authorities. Immutable.
class tls_config;

/// PEM files. Error: errc::tls.
std::shared_ptr<tls_config> make_server_tls(const std::string& certificate, const std::string& key,
                                            std::error_code& error);
/// `ca_file` empty: the system's authorities.
std::shared_ptr<tls_config> make_client_tls(const std::string& ca_file, bool verify,
                                            std::error_code& error);

/// The handshake happens at the first wait or read. It fails with std::errc::timed_out at `limit`
/// (time_point{}: never); the stream's own deadlines count again behind it.
std::unique_ptr<stream> make_tls_server(std::unique_ptr<stream> lower,
                                        std::shared_ptr<tls_config> config,
                                        stream::time_point limit);
/// The same, at the first read or write (of nothing, say); verifies that the certificate is for
/// `host`, a name (by its subjectAltName only, without a final dot) or an address (without a zone).
/// Errors of the handshake: errc::tls, errc::certificate, the stream's.
std::unique_ptr<stream> make_tls_client(std::unique_ptr<stream> lower,
                                        std::shared_ptr<tls_config> config, const std::string& host,
                                        stream::time_point limit);
/// With the handshake.
std::unique_ptr<stream> make_tls_client(std::unique_ptr<stream> lower,
                                        std::shared_ptr<tls_config> config, const std::string& host,
                                        stream::time_point limit, std::error_code& error);

}  // namespace gort::http
