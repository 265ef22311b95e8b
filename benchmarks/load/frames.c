/* Frames of RFC 6455 section 5: those of a client are masked, those of a server are checked.
 *
 * Each message starts with a stamp, its number and its sender, as far as it has room for them;
 * the rest is the same in all. So an answer is known to be the right one, byte by byte, with
 * nothing kept.
 */
#include "load.h"

#include <stdlib.h>
#include <string.h>

enum { FINAL = 0x80, PACKED = 0x40 };

static uint8_t *pattern;

size_t stamp_size(void) {
    return options.size < STAMP_SIZE ? options.size : STAMP_SIZE;
}

/* Write words that are as easy to compress as text is: the alphabet again and again would be nothing. */
static void put_words(uint8_t *to, size_t length) {
    uint32_t state = 1;
    for (size_t i = 0, left = 0, word = 0; i < length; i++, left--) {
        if (left == 0) {
            state = state * 1103515245 + 12345;
            word = state >> 16 & 255;
            left = 4 + word % 6;
        }
        to[i] = left == 1 ? ' ' : (uint8_t)('a' + (word * 7 + left * left * 3) % 26);
    }
}

void prepare_messages(void) {
    pattern = malloc(options.size + STAMP_SIZE);
    if (pattern == NULL)
        die("no memory");
    for (size_t i = 0; i < options.size; i++)
        pattern[i] = options.text ? (uint8_t)('a' + i % 26) : (uint8_t)random_bits();
    if (options.deflate) {
        put_words(pattern, options.size);
        prepare_packed(pattern);
    }
}

/* Least significant digits first: a message too short for all of them has those that differ. */
void write_stamp(uint8_t *stamp, uint32_t sender, uint32_t number) {
    uint64_t both = (uint64_t)sender << 32 | number;
    for (int i = 0; i < STAMP_SIZE; i++, both >>= 4)
        stamp[i] = (uint8_t)"0123456789abcdef"[both & 15];
}

static uint8_t *reserve(struct buffer *out, size_t length) {
    if (out->begin == out->end)
        out->begin = out->end = 0;
    if (out->begin > 0 && out->end + length > out->capacity) {
        memmove(out->data, out->data + out->begin, out->end - out->begin);
        out->end -= out->begin;
        out->begin = 0;
    }
    if (out->end + length > out->capacity) {
        out->capacity = 2 * out->end + length;
        out->data = realloc(out->data, out->capacity);
        if (out->data == NULL)
            die("no memory");
    }
    out->end += length;
    return out->data + out->end - length;
}

void put_bytes(struct connection *c, const void *source, size_t length) {
    memcpy(reserve(&c->out, length), source, length);
}

static void put_frame(struct connection *c, unsigned first, const uint8_t *payload, size_t length) {
    unsigned extended = length < 126 ? 0 : length < 65536 ? 2 : 8;
    uint8_t *to = reserve(&c->out, 2 + extended + 4 + length);
    *to++ = (uint8_t)first;
    *to++ = (uint8_t)(0x80 | (extended == 0 ? length : extended == 2 ? 126 : 127));
    for (unsigned i = extended; i-- > 0;)
        *to++ = (uint8_t)(length >> 8 * i);
    uint8_t key[8];
    uint32_t drawn = (uint32_t)random_bits();
    memcpy(key, &drawn, 4);
    memcpy(key + 4, &drawn, 4);
    memcpy(to, key, 4);
    to += 4;
    uint64_t wide, word;
    memcpy(&wide, key, 8);
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        memcpy(&word, payload + i, 8);
        word ^= wide;
        memcpy(to + i, &word, 8);
    }
    for (; i < length; i++)
        to[i] = payload[i] ^ key[i & 3];
}

void put_message(struct connection *c, uint32_t sender, uint32_t number) {
    uint8_t stamp[STAMP_SIZE];
    write_stamp(stamp, sender, number);
    unsigned opcode = options.ping ? OPCODE_PING : options.text ? OPCODE_TEXT : OPCODE_BINARY;
    if (options.deflate) {
        const uint8_t *packed;
        size_t length = pack(stamp, &packed);
        put_frame(c, FINAL | PACKED | opcode, packed, length);
        return;
    }
    memcpy(pattern, stamp, stamp_size());
    size_t part = (options.size + (size_t)options.fragments - 1) / (size_t)options.fragments, at = 0;
    for (; options.size - at > part; at += part, opcode = OPCODE_CONTINUATION)
        put_frame(c, opcode, pattern + at, part);
    put_frame(c, FINAL | opcode, pattern + at, options.size - at);
}

void put_close(struct connection *c) {
    static const uint8_t normal_closure[] = {1000 >> 8, 1000 & 255};
    put_frame(c, FINAL | OPCODE_CLOSE, normal_closure, sizeof normal_closure);
    c->stage = STAGE_CLOSING;
}

static void check_head(struct connection *c) {
    struct incoming *in = &c->in;
    bool packed = in->head[0] & PACKED, may_be_packed = options.deflate && in->opcode - 1 < OPCODE_BINARY;
    if (in->head[0] & (may_be_packed ? 0x30 : 0x70))
        die("connection %u: a reserved bit is set", c->index);
    if (in->head[1] & 0x80)
        die("connection %u: a masked frame from a server", c->index);
    if (in->opcode & 8 ? in->opcode > OPCODE_PONG || !in->final || in->left > CONTROL_SIZE : in->opcode > OPCODE_BINARY)
        die("connection %u: a wrong frame: opcode %u, %llu bytes", c->index, in->opcode, (unsigned long long)in->left);
    if (in->opcode & 8)
        return;
    if ((in->opcode == OPCODE_CONTINUATION) != (in->message_opcode != 0))
        die("connection %u: a message in the middle of another", c->index);
    if (in->opcode != OPCODE_CONTINUATION) {
        in->message_opcode = in->opcode;
        in->offset = 0;
        in->packed = packed;
        if (options.deflate && !packed)
            die("connection %u: an answer that is not compressed", c->index);
        if (packed)
            begin_unpacking(c);
    }
}

/* Take the bytes of a frame's head one by one, for there are few; return how many were taken. */
static size_t receive_head(struct connection *c, const uint8_t *data, size_t length) {
    struct incoming *in = &c->in;
    for (size_t taken = 0; taken < length;) {
        in->head[in->head_length++] = data[taken++];
        if (in->head_length < 2)
            continue;
        unsigned short_length = in->head[1] & 127;
        unsigned needed = short_length < 126 ? 2 : short_length == 126 ? 4 : 10;
        if (in->head_length < needed)
            continue;
        in->left = needed == 2 ? short_length : 0;
        for (unsigned i = 2; i < needed; i++)
            in->left = in->left << 8 | in->head[i];
        in->final = in->head[0] >> 7;
        in->opcode = in->head[0] & 15;
        in->head_length = in->control_length = 0;
        in->in_payload = true;
        check_head(c);
        return taken;
    }
    return length;
}

void check_payload(struct connection *c, const uint8_t *data, size_t length) {
    struct incoming *in = &c->in;
    if (in->offset + length > options.size)
        die("connection %u: a message of more than %zu bytes", c->index, options.size);
    for (; length > 0 && in->offset < stamp_size(); length--)
        in->stamp[in->offset++] = *data++;
    if (memcmp(data, pattern + in->offset, length) != 0)
        die("connection %u: a message has come back changed", c->index);
    in->offset += length;
}

static void check_pong(struct connection *c) {
    struct incoming *in = &c->in;
    if (in->control_length != options.size ||
        memcmp(in->control + stamp_size(), pattern + stamp_size(), options.size - stamp_size()) != 0)
        die("connection %u: a pong that answers no ping", c->index);
    mode_received(c, in->control);
}

static void end_of_frame(struct connection *c) {
    struct incoming *in = &c->in;
    in->in_payload = false;
    if (in->opcode == OPCODE_PING)
        put_frame(c, FINAL | OPCODE_PONG, in->control, in->control_length);
    else if (in->opcode == OPCODE_CLOSE)
        c->closed_by_peer = true;
    else if (in->opcode == OPCODE_PONG && options.ping)
        check_pong(c);
    else if (!(in->opcode & 8) && in->final) {
        if (in->packed)
            unpack(c, NULL, 0);
        if (in->offset != options.size)
            die("connection %u: a message of less than %zu bytes", c->index, options.size);
        if (in->message_opcode != (options.text ? OPCODE_TEXT : OPCODE_BINARY))
            die("connection %u: text has become binary, or the reverse", c->index);
        in->message_opcode = 0;
        mode_received(c, in->stamp);
    }
}

void receive_frames(struct connection *c, const uint8_t *data, size_t length) {
    struct incoming *in = &c->in;
    while (length > 0) {
        if (c->closed_by_peer)
            die("connection %u: something comes after a close frame", c->index);
        size_t taken;
        if (!in->in_payload)
            taken = receive_head(c, data, length);
        else {
            taken = length < in->left ? length : (size_t)in->left;
            if (in->opcode & 8) {
                memcpy(in->control + in->control_length, data, taken);
                in->control_length += (unsigned)taken;
            } else if (!in->packed)
                check_payload(c, data, taken);
            else if (taken > 0)
                unpack(c, data, taken);
            in->left -= taken;
        }
        data += taken;
        length -= taken;
        if (in->in_payload && in->left == 0)
            end_of_frame(c);
    }
}
