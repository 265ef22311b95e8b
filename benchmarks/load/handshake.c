/* The opening handshake of RFC 6455 section 4.1, with the checks that a client must make. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define OFFER                                                                                                \
    "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover\r\n"
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

static uint32_t rotated(uint32_t word, int by) {
    return word << by | word >> (32 - by);
}

static void sha1_block(uint32_t state[5], const uint8_t block[64]) {
    uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8
               | block[4 * i + 3];
    for (int i = 16; i < 80; i++)
        w[i] = rotated(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
        uint32_t mixed = i < 20   ? ((b & c) | (~b & d)) + 0x5A827999
                         : i < 40 ? (b ^ c ^ d) + 0x6ED9EBA1
                         : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8F1BBCDC
                                  : (b ^ c ^ d) + 0xCA62C1D6;
        uint32_t next = rotated(a, 5) + mixed + e + w[i];
        e = d, d = c, c = rotated(b, 30), b = a, a = next;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
}

/* For input shorter than two blocks less their trailer, as a key with the GUID is. */
static void sha1(const char *text, uint8_t digest[20]) {
    uint32_t state[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    uint8_t padded[128] = {0};
    size_t length = strlen(text), blocks = length + 9 > 64 ? 2 : 1;
    memcpy(padded, text, length);
    padded[length] = 0x80;
    padded[blocks * 64 - 2] = (uint8_t)(length * 8 >> 8);
    padded[blocks * 64 - 1] = (uint8_t)(length * 8);
    for (size_t i = 0; i < blocks; i++)
        sha1_block(state, padded + i * 64);
    for (int i = 0; i < 20; i++)
        digest[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
}

static void base64(const uint8_t *source, size_t length, char *text) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < length; i += 3) {
        size_t have = length - i < 3 ? length - i : 3;
        uint32_t group = (uint32_t)source[i] << 16;
        group |= have > 1 ? (uint32_t)source[i + 1] << 8 : 0;
        group |= have > 2 ? source[i + 2] : 0;
        for (size_t digit = 0; digit < 4; digit++)
            *text++ = digit <= have ? digits[group >> (18 - 6 * digit) & 63] : '=';
    }
    *text = 0;
}

void put_request(struct connection *c) {
    uint64_t nonce[2] = {random_bits(), random_bits()};
    char key[25], joined[25 + sizeof GUID], request[512];
    uint8_t digest[20];
    base64((const uint8_t *)nonce, sizeof nonce, key);
    snprintf(joined, sizeof joined, "%s" GUID, key);
    sha1(joined, digest);
    base64(digest, sizeof digest, c->accept);
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
                          options.path, options.host, options.port, key, options.deflate ? OFFER : "");
    put_bytes(c, request, (size_t)length);
    c->head = malloc(HEAD_SIZE);
    c->head_length = 0;
}

/* Copy a field's value, without the spaces around it; return whether there is such a field. */
static bool field(const char *head, const char *name, char *value, size_t size) {
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, length) != 0 || line[length] != ':')
            continue;
        const char *from = line + length + 1 + strspn(line + length + 1, " \t");
        size_t used = strcspn(from, "\r");
        while (used > 0 && (from[used - 1] == ' ' || from[used - 1] == '\t'))
            used--;
        snprintf(value, size, "%.*s", (int)used, from);
        return true;
    }
    return false;
}

static void check_answer(struct connection *c) {
    char value[256];
    if (strncmp(c->head, "HTTP/1.1 101", 12) != 0)
        die("connection %u was refused: %.*s", c->index, (int)strcspn(c->head, "\r"), c->head);
    if (!field(c->head, "Upgrade", value, sizeof value) || strcasecmp(value, "websocket") != 0)
        die("connection %u: the answer upgrades to no websocket", c->index);
    if (!field(c->head, "Connection", value, sizeof value) || strcasestr(value, "upgrade") == NULL)
        die("connection %u: the answer does not upgrade", c->index);
    if (!field(c->head, "Sec-WebSocket-Accept", value, sizeof value) || strcmp(value, c->accept) != 0)
        die("connection %u: Sec-WebSocket-Accept does not answer the key", c->index);
    bool extended = field(c->head, "Sec-WebSocket-Extensions", value, sizeof value) && value[0] != 0;
    if (options.deflate && (!extended || strstr(value, "permessage-deflate") == NULL))
        die("connection %u: no compression was agreed on", c->index);
    if (options.deflate && strstr(value, "server_no_context_takeover") == NULL)
        die("connection %u: the server does not say that it keeps no context", c->index);
    if (extended && !options.deflate)
        die("connection %u: an extension that was not offered: %s", c->index, value);
    if (field(c->head, "Sec-WebSocket-Protocol", value, sizeof value))
        die("connection %u: a subprotocol that was not offered: %s", c->index, value);
}

/* Take the bytes that belong to the answer; return how many. The head is freed when it is whole. */
size_t receive_answer(struct connection *c, const uint8_t *data, size_t length) {
    size_t before = c->head_length, room = HEAD_SIZE - 1 - before;
    size_t taken = length < room ? length : room;
    memcpy(c->head + before, data, taken);
    c->head_length += taken;
    c->head[c->head_length] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (end == NULL) {
        if (c->head_length == HEAD_SIZE - 1)
            die("connection %u: an answer of more than %d bytes", c->index, HEAD_SIZE);
        return length;
    }
    size_t used = (size_t)(end + 4 - c->head) - before;
    end[2] = 0;
    check_answer(c);
    free(c->head);
    c->head = NULL;
    return used;
}
