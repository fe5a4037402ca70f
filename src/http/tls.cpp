// Problem: OpenSSL's functions run on the goroutine's stack and keep their errors in thread-local
// memory; a goroutine that parks may go on on another thread.
//
// Invariants
//   [tls-1] No OpenSSL function is active while a goroutine waits: OpenSSL reads and writes memory
//           (two BIOs), and the bytes are carried between those and the stream outside of its
//           calls.
//   [tls-2] The error of a call is asked for (SSL_get_error) right behind it, before anything that
//           can wait; the thread's error queue is empty before the call.
//   [tls-3] The SSL object and its BIOs are guarded by `state_`. `sending_` is held from before the
//           bytes leave the BIO, under `state_`, until they are written: records arrive in order.
//           One goroutine reads from the stream below, outside of `state_`. close() from another
//           one only closes that stream.
//   [tls-4] Who destroys a stream without having closed it has come to an orderly end, and says so
//           with close_notify; close() is for breaking off, and says nothing: the peer must not
//           take what it has for the whole.
//   [tls-5] Deadlines may come from any goroutine, also during the handshake, whose limit counts
//           besides: `times_` guards what was asked for, and its way to the stream below.
//
// Rejected: a BIO that waits inside OpenSSL's calls, as [tls-1] would not hold; SSL_set_fd with
// poll, which needs the descriptor and makes two system calls per record.
#include "http/tls.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <climits>
#include <mutex>
#include <utility>

#include <gort/detail/atomic.hpp>
#include <gort/http/errors.hpp>
#include <gort/mutex.hpp>

namespace gort::http {

class tls_config {
 public:
  explicit tls_config(const SSL_METHOD* method) noexcept : context_(SSL_CTX_new(method)) {
    if (context_ == nullptr) return;
    SSL_CTX_set_min_proto_version(context_, TLS1_2_VERSION);
    SSL_CTX_set_mode(context_, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                   SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(context_, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  }
  tls_config(const tls_config&) = delete;
  tls_config& operator=(const tls_config&) = delete;
  ~tls_config() { SSL_CTX_free(context_); }

  SSL_CTX* get() const noexcept { return context_; }

 private:
  SSL_CTX* context_;  // null: out of memory
};

namespace {

constexpr unsigned char protocols[] = "\x08http/1.1";
constexpr unsigned protocols_size = sizeof(protocols) - 1;

int choose_protocol(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in,
                    unsigned in_size, void*) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, size, protocols, protocols_size, in, in_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

class tls_stream final : public stream {
 public:
  tls_stream(std::unique_ptr<stream> lower, std::shared_ptr<tls_config> config,
             time_point handshake_limit)
      : lower_(std::move(lower)),
        config_(std::move(config)),
        handshake_limit_(handshake_limit),
        ssl_(SSL_new(config_->get())),
        in_(BIO_new(BIO_s_mem())),
        out_(BIO_new(BIO_s_mem())) {
    if (ssl_ == nullptr || in_ == nullptr || out_ == nullptr) throw std::bad_alloc();
    BIO_set_mem_eof_return(in_, -1);
    BIO_set_mem_eof_return(out_, -1);
    SSL_set_bio(ssl_, in_, out_);
  }
  ~tls_stream() override {
    if (shaken_ && !closed_.load_relaxed()) {  // [tls-4]
      lower_->set_write_deadline(std::chrono::steady_clock::now() + goodbye_time);
      std::error_code ignored;
      tls_stream::close_write(ignored);
    }
    lower_->close();
    SSL_free(ssl_);  // and the BIOs
  }

  SSL* ssl() const noexcept { return ssl_; }

  void handshake(std::error_code& error) {
    if (shaken_) return;
    limit_handshake(true);
    call(error, [&] { return SSL_do_handshake(ssl_); });
    limit_handshake(false);
    shaken_ = !error;
  }

  std::size_t read(std::span<std::byte> into, std::error_code& error) override {
    handshake(error);
    if (error || into.empty()) return 0;
    const int size = static_cast<int>(std::min<std::size_t>(into.size(), INT_MAX));
    return call(error, [&] { return SSL_read(ssl_, into.data(), size); });
  }

  void wait_readable(std::error_code& error) override {
    handshake(error);
    if (error || has_decrypted()) return;
    lower_->wait_readable(error);
  }

  bool has_input() noexcept override { return has_decrypted() || lower_->has_input(); }

  std::size_t write(std::span<const std::byte> from, std::error_code& error) override {
    handshake(error);
    std::size_t done = 0;
    while (!error && done < from.size()) {
      const auto rest = from.subspan(done);
      const int size = static_cast<int>(std::min<std::size_t>(rest.size(), INT_MAX));
      done += call(error, [&] { return SSL_write(ssl_, rest.data(), size); });
    }
    return done;
  }

  std::size_t write_vectored(std::span<const std::span<const std::byte>> pieces,
                             std::error_code& error) override {
    std::size_t done = 0;
    error.clear();
    for (const auto& piece : pieces) {
      if (!piece.empty()) done += write(piece, error);
      if (error) break;
    }
    return done;
  }

  void close_write(std::error_code& error) override {
    error.clear();
    if (shaken_) {
      std::unique_lock guard(state_);
      ERR_clear_error();
      if (!broken_) SSL_shutdown(ssl_);  // says goodbye; the answer is not waited for
      ERR_clear_error();
      send(guard, error);
    }
    if (!error) lower_->close_write(error);
  }
  void close() noexcept override {
    closed_.store_relaxed(true);  // read by the destructor, which comes behind every other call
    lower_->close();
  }

  void set_read_deadline(time_point when) override {
    std::lock_guard guard(times_);
    read_deadline_ = when;
    lower_->set_read_deadline(limited(when));
  }
  void set_write_deadline(time_point when) override {
    std::lock_guard guard(times_);
    write_deadline_ = when;
    lower_->set_write_deadline(limited(when));
  }
  std::string remote_address() const override { return lower_->remote_address(); }
  bool is_tls() const noexcept override { return true; }

 private:
  static constexpr std::chrono::nanoseconds goodbye_time = std::chrono::seconds(1);

  /// Needs `times_`.
  time_point limited(time_point when) const noexcept {
    const bool counts = shaking_ && handshake_limit_ != time_point{};
    return counts && (when == time_point{} || when > handshake_limit_) ? handshake_limit_ : when;
  }
  void limit_handshake(bool shaking) {
    if (handshake_limit_ == time_point{}) return;
    std::lock_guard guard(times_);
    shaking_ = shaking;
    lower_->set_read_deadline(limited(read_deadline_));
    lower_->set_write_deadline(limited(write_deadline_));
  }

  bool has_decrypted() {
    std::lock_guard guard(state_);
    return SSL_pending(ssl_) > 0 || BIO_ctrl_pending(in_) > 0;
  }

  /// Repeats an operation, carrying bytes, until it is done. Returns its result; 0 without an error
  /// is the end of the stream.
  template <class Operation>
  std::size_t call(std::error_code& error, Operation operation) {
    error.clear();
    for (;;) {
      std::unique_lock guard(state_);
      ERR_clear_error();
      const int result = operation();
      const int why = result > 0 ? SSL_ERROR_NONE : SSL_get_error(ssl_, result);  // [tls-2]
      const bool untrusted = why == SSL_ERROR_SSL && SSL_get_verify_result(ssl_) != X509_V_OK;
      ERR_clear_error();
      broken_ |= why == SSL_ERROR_SSL || why == SSL_ERROR_SYSCALL;
      send(guard, error);
      if (error) return 0;
      switch (why) {
        case SSL_ERROR_NONE: return static_cast<std::size_t>(result);
        case SSL_ERROR_ZERO_RETURN: return 0;
        case SSL_ERROR_WANT_WRITE: break;  // sent
        case SSL_ERROR_WANT_READ:
          if (receive(error)) break;
          // The end without a goodbye: somebody may have cut the stream off.
          if (!error) error = errc::unexpected_eof;
          return 0;
        default: error = untrusted ? errc::certificate : errc::tls; return 0;
      }
    }
  }

  /// Sends what OpenSSL has for the other side; releases the lock.
  void send(std::unique_lock<mutex>& guard, std::error_code& error) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(out_, &data);
    if (size <= 0) return guard.unlock();
    const std::string bytes(data, static_cast<std::size_t>(size));
    BIO_reset(out_);
    std::lock_guard sending(sending_);  // [tls-3]
    guard.unlock();
    lower_->write(std::as_bytes(std::span(bytes.data(), bytes.size())), error);
  }

  bool receive(std::error_code& error) {
    std::array<std::byte, 4096> bytes;
    const std::size_t n = lower_->read(bytes, error);
    if (n == 0) return false;
    std::lock_guard guard(state_);
    BIO_write(in_, bytes.data(), static_cast<int>(n));
    return true;
  }

  const std::unique_ptr<stream> lower_;
  const std::shared_ptr<tls_config> config_;
  const time_point handshake_limit_;
  SSL* const ssl_;
  BIO* const in_;  // ssl_ owns both
  BIO* const out_;
  mutex state_;
  mutex sending_;
  bool shaken_ = false;  // set before there are two
  bool broken_ = false;  // guarded by state_: nothing more can be said
  gort::detail::atomic<bool> closed_{false};
  mutex times_;
  bool shaking_ = false;  // guarded by times_, as are both below
  time_point read_deadline_{};
  time_point write_deadline_{};
};

}  // namespace

namespace {
// OpenSSL would open the file that the part before a zero names.
bool is_file_name(const std::string& name, std::error_code& error) {
  if (name.find('\0') == name.npos) return true;
  error = std::make_error_code(std::errc::invalid_argument);
  return false;
}
}  // namespace

std::shared_ptr<tls_config> make_server_tls(const std::string& certificate, const std::string& key,
                                            std::error_code& error) {
  if (!is_file_name(certificate, error) || !is_file_name(key, error)) return nullptr;
  auto config = std::make_shared<tls_config>(TLS_server_method());
  SSL_CTX* const c = config->get();
  if (c == nullptr || SSL_CTX_use_certificate_chain_file(c, certificate.c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(c, key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(c) != 1) {
    ERR_clear_error();
    error = errc::tls;
    return nullptr;
  }
  SSL_CTX_set_alpn_select_cb(c, choose_protocol, nullptr);
  return config;
}

std::shared_ptr<tls_config> make_client_tls(const std::string& ca_file, bool verify,
                                            std::error_code& error) {
  if (!is_file_name(ca_file, error)) return nullptr;
  auto config = std::make_shared<tls_config>(TLS_client_method());
  SSL_CTX* const c = config->get();
  const bool good = c != nullptr && SSL_CTX_set_alpn_protos(c, protocols, protocols_size) == 0 &&
                    (ca_file.empty() ? SSL_CTX_set_default_verify_paths(c)
                                     : SSL_CTX_load_verify_file(c, ca_file.c_str())) == 1;
  if (!good) {
    ERR_clear_error();
    error = errc::tls;
    return nullptr;
  }
  SSL_CTX_set_verify(c, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  return config;
}

std::unique_ptr<stream> make_tls_server(std::unique_ptr<stream> lower,
                                        std::shared_ptr<tls_config> config,
                                        stream::time_point limit) {
  auto s = std::make_unique<tls_stream>(std::move(lower), std::move(config), limit);
  SSL_set_accept_state(s->ssl());
  return s;
}

std::unique_ptr<stream> make_tls_client(std::unique_ptr<stream> lower,
                                        std::shared_ptr<tls_config> config, const std::string& host,
                                        stream::time_point limit) {
  auto s = std::make_unique<tls_stream>(std::move(lower), std::move(config), limit);
  SSL_set_connect_state(s->ssl());
  // An address is matched against the addresses of a certificate and is no name to be indicated.
  X509_VERIFY_PARAM* const expected = SSL_get0_param(s->ssl());
  const bool has_zone = host.find(':') != host.npos;
  const std::string address = has_zone ? host.substr(0, host.find('%')) : host;
  if (X509_VERIFY_PARAM_set1_ip_asc(expected, address.c_str()) != 1) {
    // The final dot says that a name is complete and is no part of it (RFC 6066 3).
    const std::string name = host.ends_with('.') ? host.substr(0, host.size() - 1) : host;
    SSL_set_tlsext_host_name(s->ssl(), name.c_str());
    SSL_set1_host(s->ssl(), name.c_str());
    // A common name is no name of a host (RFC 9110 4.3.4).
    SSL_set_hostflags(s->ssl(),
                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  }
  ERR_clear_error();
  return s;
}

std::unique_ptr<stream> make_tls_client(std::unique_ptr<stream> lower,
                                        std::shared_ptr<tls_config> config, const std::string& host,
                                        stream::time_point limit, std::error_code& error) {
  auto s = make_tls_client(std::move(lower), std::move(config), host, limit);
  s->write({}, error);
  return s;
}

}  // namespace gort::http
