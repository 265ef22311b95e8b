/* One connection from connect to close, and the loop over all of them. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Fewer than servers hold between accept and 101, and than their backlogs. */
enum { OPENING_AT_ONCE = 64, EVENTS_AT_ONCE = 512, INPUT_SIZE = 256 * 1024 };
static const uint64_t PATIENCE = 10 * 1000000000ull;

struct connection *connections;
int opening, open_now, wanted;
uint64_t now;
bool expecting;
static int poller, started;
static uint64_t heard_at;
static struct sockaddr_in address = {.sin_family = AF_INET};
static uint8_t input[INPUT_SIZE];

void prepare_connections(void) {
    poller = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc((size_t)options.connections, sizeof *connections);
    if (poller < 0 || connections == NULL)
        die("no memory");
    address.sin_port = htons((uint16_t)options.port);
    if (inet_pton(AF_INET, options.host, &address.sin_addr) != 1)
        die("not an IPv4 address: %s", options.host);
    for (int i = 0; i < options.connections; i++) {
        connections[i].index = (uint32_t)i;
        connections[i].sent_at = calloc((size_t)options.window, sizeof(uint64_t));
        if (connections[i].sent_at == NULL)
            die("no memory");
    }
    now = heard_at = nanoseconds();
}

static void watch(struct connection *c, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (operation == EPOLL_CTL_MOD && events == c->watched)
        return;
    if (epoll_ctl(poller, operation, c->descriptor, &event) != 0)
        die("epoll_ctl: %s", strerror(errno));
    c->watched = events;
}

void connection_start(struct connection *c) {
    int on = 1;
    c->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->descriptor < 0)
        die("connection %u: %s", c->index, strerror(errno));
    /* A message must not wait for the acknowledgement of the one before. */
    setsockopt(c->descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->began = nanoseconds();
    if (connect(c->descriptor, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS)
        die("connection %u: %s", c->index, strerror(errno));
    c->stage = STAGE_CONNECTING;
    opening++;
    watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

void connection_finish(struct connection *c) {
    transport_close(c);
    c->stage = STAGE_NONE;
    c->closed_by_peer = false;
    c->out.begin = c->out.end = 0;
    memset(&c->in, 0, sizeof c->in);
    open_now--;
}

void flush(struct connection *c) {
    struct buffer *out = &c->out;
    while (out->begin < out->end) {
        ssize_t written = transport_write(c, out->data + out->begin, out->end - out->begin);
        if (written == BROKEN || written == 0)
            die("connection %u: broken while writing", c->index);
        if (written == WOULD_BLOCK)
            break;
        out->begin += (size_t)written;
    }
    watch(c, EPOLL_CTL_MOD, out->begin < out->end ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void advance(struct connection *c) {
    int error = 0;
    socklen_t size = sizeof error;
    if (c->stage == STAGE_CONNECTING) {
        if (getsockopt(c->descriptor, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0)
            die("connection %u: %s", c->index, strerror(error));
        c->stage = STAGE_SECURING;
    }
    if (options.tls && !secure(c)) {
        watch(c, EPOLL_CTL_MOD, EPOLLIN);
        return;
    }
    c->stage = STAGE_ASKING;
    put_request(c);
    flush(c);
}

static void take(struct connection *c, const uint8_t *data, size_t length) {
    if (c->stage == STAGE_ASKING) {
        size_t used = receive_answer(c, data, length);
        data += used;
        length -= used;
        if (c->head == NULL) {
            c->stage = STAGE_OPEN;
            opening--;
            open_now++;
            mode_opened(c);
        }
    }
    receive_frames(c, data, length);
    if (c->closed_by_peer && c->stage != STAGE_CLOSING)
        die("connection %u: closed by the server", c->index);
}

static void receive(struct connection *c) {
    for (;;) {
        ssize_t length = transport_read(c, input, sizeof input);
        if (length == WOULD_BLOCK)
            break;
        heard_at = now = nanoseconds();
        if (length <= 0) {
            if (!c->closed_by_peer)
                die("connection %u: ended by the server without a close frame", c->index);
            mode_closed(c);
            return;
        }
        take(c, input, (size_t)length);
        /* A socket with more to read is reported again; bytes that TLS has decrypted are not. */
        if (c->tls == NULL)
            break;
    }
    flush(c);
}

static void handle(struct connection *c, uint32_t events) {
    now = nanoseconds();
    if (c->stage == STAGE_CONNECTING || c->stage == STAGE_SECURING) {
        advance(c);
        return;
    }
    if (events & EPOLLOUT)
        flush(c);
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        receive(c);
}

/* Wait for something to happen, until then at most, and see to it. */
void turn(uint64_t until) {
    struct epoll_event events[EVENTS_AT_ONCE];
    while (started < wanted && opening < OPENING_AT_ONCE)
        connection_start(&connections[started++]);
    now = nanoseconds();
    int milliseconds = until > now ? (int)((until - now + 999999) / 1000000) : 0;
    int count = epoll_wait(poller, events, EVENTS_AT_ONCE, milliseconds < 100 ? milliseconds : 100);
    for (int i = 0; i < count; i++)
        handle(events[i].data.ptr, events[i].events);
    if (options.mode == MODE_BROADCAST && connections[0].stage == STAGE_OPEN)
        flush(&connections[0]);
    now = nanoseconds();
    if (!expecting)
        heard_at = now;
    if (now - heard_at > PATIENCE)
        die("nothing has come for 10 seconds, with %d of %d connections open", open_now, options.connections);
}
