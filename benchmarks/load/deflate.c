/* Compressed messages of RFC 7692; neither side keeps its context from message to message.
 *
 * Compressing each message anew would cost more than sending it, and the server is to be measured. So the part that
 * is the same in all messages is compressed once, and the stamp goes before it in a block that is stored.
 */
#include "load.h"

#ifdef WITH_DEFLATE

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { STORED = 5 + STAMP_SIZE, WINDOW = 15, MEMORY = 8, PIECE = 16 * 1024, TAIL = 4 };

static const uint8_t tail[TAIL] = {0, 0, 255, 255};
static uint8_t *packed_message;
static size_t packed_length;

void prepare_packed(const uint8_t *pattern) {
    z_stream stream = {0};
    size_t length = options.size - STAMP_SIZE, room = compressBound(length) + 64;
    packed_message = malloc(STORED + room);
    if (packed_message == NULL || deflateInit2(&stream, 6, Z_DEFLATED, -WINDOW, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
        die("no memory");
    memcpy(packed_message, (const uint8_t[]){0, STAMP_SIZE, 0, 255 - STAMP_SIZE, 255}, 5);
    stream.next_in = (uint8_t *)pattern + STAMP_SIZE;
    stream.avail_in = (uInt)length;
    stream.next_out = packed_message + STORED;
    stream.avail_out = (uInt)room;
    if (deflate(&stream, Z_SYNC_FLUSH) != Z_OK || stream.avail_out == 0)
        die("a message cannot be compressed");
    packed_length = STORED + room - stream.avail_out - TAIL;
    deflateEnd(&stream);
}

/* Return the payload of a message: its length, and where it is until the next call. */
size_t pack(const uint8_t *stamp, const uint8_t **packed) {
    memcpy(packed_message + 5, stamp, STAMP_SIZE);
    *packed = packed_message;
    return packed_length;
}

void begin_unpacking(struct connection *c) {
    if (c->inflater == NULL) {
        c->inflater = calloc(1, sizeof(z_stream));
        if (c->inflater == NULL || inflateInit2(c->inflater, -WINDOW) != Z_OK)
            die("no memory");
    } else
        inflateReset(c->inflater);
}

/* Take a piece of a compressed message; the last one is empty. */
void unpack(struct connection *c, const uint8_t *data, size_t length) {
    uint8_t plain[PIECE];
    z_stream *stream = c->inflater;
    stream->next_in = (uint8_t *)(length ? data : tail);
    stream->avail_in = (uInt)(length ? length : TAIL);
    do {
        stream->next_out = plain;
        stream->avail_out = PIECE;
        int result = inflate(stream, Z_SYNC_FLUSH);
        if (result != Z_OK && result != Z_BUF_ERROR)
            die("connection %u: a message that cannot be inflated", c->index);
        check_payload(c, plain, PIECE - stream->avail_out);
    } while (stream->avail_out == 0);
}

#else

void prepare_packed(const uint8_t *pattern) {
    (void)pattern;
    die("built without zlib");
}

size_t pack(const uint8_t *stamp, const uint8_t **packed) {
    (void)stamp, (void)packed;
    return 0;
}

void begin_unpacking(struct connection *c) {
    (void)c;
}

void unpack(struct connection *c, const uint8_t *data, size_t length) {
    (void)c, (void)data, (void)length;
}

#endif
