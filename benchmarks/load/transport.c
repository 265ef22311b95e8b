/* A socket with TLS or without. TLS is built in with -DWITH_TLS -lssl -lcrypto. */
#include "load.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef WITH_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>

static SSL_CTX *context;

void prepare_transport(void) {
    if (!options.tls)
        return;
    context = SSL_CTX_new(TLS_client_method());
    if (context == NULL)
        die("no TLS");
    /* Whoever runs this has started the server: its certificate says nothing new. */
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

static ssize_t outcome(struct connection *c, int result) {
    if (result > 0)
        return result;
    int error = SSL_get_error(c->tls, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return WOULD_BLOCK;
    return error == SSL_ERROR_ZERO_RETURN ? 0 : BROKEN;
}

bool secure(struct connection *c) {
    if (c->tls == NULL) {
        c->tls = SSL_new(context);
        if (c->tls == NULL || !SSL_set_fd(c->tls, c->descriptor))
            die("no TLS for connection %u", c->index);
        SSL_set_connect_state(c->tls);
    }
    ERR_clear_error();
    ssize_t done = outcome(c, SSL_do_handshake(c->tls));
    if (done == BROKEN || done == 0)
        die("connection %u: the TLS handshake failed", c->index);
    return done > 0;
}

/* Errors that an earlier call left in the queue would be taken for this one's. */
static ssize_t tls_read(struct connection *c, void *data, size_t length) {
    ERR_clear_error();
    return outcome(c, SSL_read(c->tls, data, (int)length));
}

static ssize_t tls_write(struct connection *c, const void *data, size_t length) {
    ERR_clear_error();
    return outcome(c, SSL_write(c->tls, data, (int)length));
}

static void tls_close(struct connection *c) {
    SSL_free(c->tls);
}

#else

void prepare_transport(void) {
    if (options.tls)
        die("built without TLS");
}

bool secure(struct connection *c) {
    return c != NULL;
}

static ssize_t tls_read(struct connection *c, void *data, size_t length) {
    (void)c, (void)data, (void)length;
    return BROKEN;
}

static ssize_t tls_write(struct connection *c, const void *data, size_t length) {
    (void)c, (void)data, (void)length;
    return BROKEN;
}

static void tls_close(struct connection *c) {
    (void)c;
}

#endif

ssize_t transport_read(struct connection *c, void *data, size_t length) {
    if (c->tls != NULL)
        return tls_read(c, data, length);
    ssize_t result = recv(c->descriptor, data, length, 0);
    return result >= 0 ? result : errno == EAGAIN || errno == EINTR ? WOULD_BLOCK : BROKEN;
}

ssize_t transport_write(struct connection *c, const void *data, size_t length) {
    if (c->tls != NULL)
        return tls_write(c, data, length);
    ssize_t result = send(c->descriptor, data, length, MSG_NOSIGNAL);
    return result >= 0 ? result : errno == EAGAIN || errno == EINTR ? WOULD_BLOCK : BROKEN;
}

void transport_close(struct connection *c) {
    if (c->tls != NULL)
        tls_close(c);
    c->tls = NULL;
    close(c->descriptor);
}
