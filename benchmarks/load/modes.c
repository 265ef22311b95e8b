/* When a message is sent, and the meaning of one that came back, in each mode.
 *
 * Echo: each active connection keeps its window full. Broadcast: the first connection does,
 * and a message has come back when all connections have it. Connect: each connection has one
 * message echoed, is closed, and begun again. Idle: one message each, then nothing.
 */
#include "load.h"

#include <string.h>

enum { RING = 4096 };

bool running, measuring;
uint64_t messages, total, in_flight;
static uint32_t arrivals[RING];
static bool begun;
static uint64_t broadcast_at[RING];

void prepare_mode(void) {
    if (options.window < 1 || options.window >= RING)
        die("the window is 1 to %d messages", RING - 1);
    if (options.active < 1 || options.active > options.connections)
        die("active is 1 to the number of connections");
    if (options.mode == MODE_BROADCAST && options.size < 8)
        die("a broadcast has at least 8 bytes, for its number");
    if (options.mode == MODE_IDLE || options.mode == MODE_CONNECT)
        options.window = 1;
}

static void send_message(struct connection *c) {
    c->sent_at[c->sent % (uint32_t)options.window] = now;
    put_message(c, c->index, c->sent++);
    in_flight++;
}

void mode_opened(struct connection *c) {
    if (options.mode == MODE_CONNECT) {
        c->sent = c->received = 0;
        send_message(c);
    }
}

static void send_broadcast(void) {
    struct connection *sender = &connections[0];
    uint32_t slot = sender->sent % RING;
    arrivals[slot] = 0;
    broadcast_at[slot] = now;
    put_message(sender, 0, sender->sent++);
    in_flight++;
}

void mode_begin(void) {
    running = options.mode != MODE_IDLE;
    if (options.mode == MODE_BROADCAST) {
        in_flight = 0;
        begun = true;
        for (int i = 0; i < options.window; i++)
            send_broadcast();
        flush(&connections[0]);
        return;
    }
    int active = options.mode == MODE_ECHO ? options.active : options.connections;
    for (int i = 0; i < active; i++) {
        struct connection *c = &connections[i];
        if (options.mode == MODE_CONNECT) {
            connection_start(c);
            continue;
        }
        for (int sent = 0; sent < options.window; sent++)
            send_message(c);
        flush(c);
    }
}

void mode_closed(struct connection *c) {
    if (options.mode != MODE_CONNECT) {
        connection_finish(c);
        return;
    }
    total++;
    if (measuring) {
        messages++;
        record_latency(now - c->began);
    }
    connection_finish(c);
    if (running)
        connection_start(c);
}

/* Some servers put a client on their list only after the 101: broadcasts before
 * that does not reach it. So there are trials, until all have had one, and all later ones. */
bool everybody_joined(void) {
    static uint64_t sent_at;
    const uint64_t patience = 500000000;
    bool all = true, caught_up = true;
    for (int i = 0; i < options.connections; i++) {
        all = all && connections[i].joined;
        caught_up = caught_up && connections[i].received == connections[0].sent;
    }
    if (!all && now - sent_at > patience) {
        send_broadcast();
        sent_at = now;
        caught_up = false;
    }
    return all && caught_up;
}

static uint32_t number_in(const uint8_t *stamp) {
    uint32_t number = 0;
    for (int i = 7; i >= 0; i--)
        number = number << 4 | (uint32_t)(stamp[i] <= '9' ? stamp[i] - '0' : stamp[i] - 'a' + 10);
    return number;
}

static void received_broadcast(struct connection *c, const uint8_t *stamp) {
    if (!c->joined) {
        c->joined = true;
        c->received = number_in(stamp);
    }
    uint8_t expected[STAMP_SIZE];
    write_stamp(expected, 0, c->received);
    if (memcmp(stamp, expected, stamp_size()) != 0)
        die("connection %u: broadcast %u is missing or late", c->index, c->received);
    uint32_t slot = c->received++ % RING;
    if (!begun)
        return;
    total++;
    messages += measuring;
    if (++arrivals[slot] < (uint32_t)options.connections)
        return;
    if (measuring)
        record_latency(now - broadcast_at[slot]);
    in_flight--;
    if (running)
        send_broadcast();
}

void mode_received(struct connection *c, const uint8_t *stamp) {
    if (options.mode == MODE_BROADCAST) {
        received_broadcast(c, stamp);
        return;
    }
    uint8_t expected[STAMP_SIZE];
    write_stamp(expected, c->index, c->received);
    if (c->received == c->sent || memcmp(stamp, expected, stamp_size()) != 0)
        die("connection %u: message %u is missing, late or another's", c->index, c->received);
    c->received++;
    in_flight--;
    if (options.mode == MODE_CONNECT) {
        put_close(c);
        return;
    }
    total++;
    if (measuring) {
        messages++;
        record_latency(now - c->sent_at[(c->received - 1) % (uint32_t)options.window]);
    }
    if (running)
        send_message(c);
}
