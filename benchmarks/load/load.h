/* Declarations that the parts of the load generator share.
 *
 *   main        the arguments, the phases of a run, the report
 *   modes       when a message is sent, and the meaning of one that came back
 *   connections one connection from connect to close, and the loop over all of them
 *   frames      RFC 6455 section 5, as a client
 *   deflate     RFC 7692, as a client
 *   handshake   RFC 6455 section 4, as a client
 *   transport   a socket, with TLS or without
 *   measures    time, latency, CPU time
 *
 * A run ends with the first fault: a figure measured on wrong answers is worth nothing.
 */
#ifndef LOAD_H
#define LOAD_H

#define _GNU_SOURCE
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum mode { MODE_ECHO, MODE_BROADCAST, MODE_CONNECT, MODE_IDLE };
enum stage { STAGE_NONE, STAGE_CONNECTING, STAGE_SECURING, STAGE_ASKING, STAGE_OPEN, STAGE_CLOSING };
enum { OPCODE_CONTINUATION, OPCODE_TEXT, OPCODE_BINARY, OPCODE_CLOSE = 8, OPCODE_PING, OPCODE_PONG };
enum { STAMP_SIZE = 16, CONTROL_SIZE = 125, ACCEPT_SIZE = 28, HEAD_SIZE = 4096 };

struct options {
    enum mode mode;
    const char *host, *path;
    int port, connections, active, window, fragments, server;
    size_t size;
    bool text, tls, deflate, ping, gate;
    double warm_up, seconds;
};

struct buffer {
    uint8_t *data;
    size_t begin, end, capacity;
};

/* The frame that is being received; it can end anywhere in the bytes read. */
struct incoming {
    uint8_t head[10];
    unsigned head_length;
    bool in_payload, final, packed; /* packed: the message is compressed */
    unsigned opcode, message_opcode; /* message_opcode is 0 between messages */
    uint64_t left;                   /* bytes of the frame's payload */
    uint64_t offset;                 /* in the message */
    uint8_t stamp[STAMP_SIZE];
    uint8_t control[CONTROL_SIZE];
    unsigned control_length;
};

struct connection {
    uint32_t index;
    int descriptor;
    enum stage stage;
    void *tls;
    uint32_t watched;
    struct buffer out;
    char *head; /* the answer to the handshake, until it is whole */
    size_t head_length;
    char accept[ACCEPT_SIZE + 1];
    struct incoming in;
    void *inflater;
    uint32_t sent, received; /* messages */
    uint64_t *sent_at;       /* of the messages in flight, by number */
    uint64_t began;
    bool closed_by_peer, joined;
};

extern struct options options;

/* connections.c */
extern struct connection *connections;
extern int opening, open_now, wanted;
extern uint64_t now;
extern bool expecting;
void prepare_connections(void);
void connection_start(struct connection *c);
void connection_finish(struct connection *c);
void flush(struct connection *c);
void turn(uint64_t until);

/* frames.c */
void prepare_messages(void);
void put_message(struct connection *c, uint32_t sender, uint32_t number);
void put_close(struct connection *c);
void put_bytes(struct connection *c, const void *source, size_t length);
void receive_frames(struct connection *c, const uint8_t *data, size_t length);
void check_payload(struct connection *c, const uint8_t *data, size_t length);
void write_stamp(uint8_t *stamp, uint32_t sender, uint32_t number);
size_t stamp_size(void);

/* deflate.c */
void prepare_packed(const uint8_t *pattern);
size_t pack(const uint8_t *stamp, const uint8_t **packed);
void begin_unpacking(struct connection *c);
void unpack(struct connection *c, const uint8_t *data, size_t length);

/* handshake.c */
void put_request(struct connection *c);
size_t receive_answer(struct connection *c, const uint8_t *data, size_t length);

/* transport.c */
enum { WOULD_BLOCK = -1, BROKEN = -2 };
void prepare_transport(void);
bool secure(struct connection *c);
ssize_t transport_read(struct connection *c, void *data, size_t length);
ssize_t transport_write(struct connection *c, const void *data, size_t length);
void transport_close(struct connection *c);

/* modes.c */
extern bool running, measuring;
extern uint64_t messages, total, in_flight;
void prepare_mode(void);
void mode_begin(void);
void mode_opened(struct connection *c);
bool everybody_joined(void);
void mode_received(struct connection *c, const uint8_t *stamp);
void mode_closed(struct connection *c);

/* measures.c */
struct cpu_time {
    double used, waited; /* seconds; waited is for a CPU, negative if unknown */
};
uint64_t nanoseconds(void);
void record_latency(uint64_t duration);
double latency_microseconds(double part);
struct cpu_time cpu_time_of(int process);
uint64_t random_bits(void);
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
