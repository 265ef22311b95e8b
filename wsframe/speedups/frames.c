/* Frames: the work of protocol/frames.py and protocol/fast_lane.py, in C.

   The bytes of strangers are read here. Every length is checked against the size of the buffer
   before it is used, and nothing keeps state between two calls. */

#include "speedups.h"
#include <string.h>

#define WHOLE_TEXT 0x81
#define WHOLE_BINARY 0x82
#define CLOSE 0x08
#define LARGE (64 * 1024)
#define LONGEST_HEADER 14

/* The bytes of one vector register; 16 are in reach of every x86-64 and ARM64. */
#if defined(__GNUC__)
typedef uint64_t vector __attribute__((vector_size(16)));
#else
typedef uint64_t vector;
#endif
#define WIDTH ((Py_ssize_t)sizeof(vector))

/* Copy `size` bytes without their masking key; return the OR of all that were written, whose
   high bit tells whether any is above ASCII. In place is fine. */
unsigned char
wsframe_copy_unmasked(unsigned char *to, const unsigned char *from, Py_ssize_t size, const unsigned char *mask)
{
    vector key, seen, a, b, c, d;
    unsigned char every[WIDTH], any = 0;
    Py_ssize_t at = 0;

    for (Py_ssize_t i = 0; i < WIDTH; i += 4)
        memcpy((unsigned char *)&key + i, mask, 4);
    seen = key ^ key;
    for (; at + 4 * WIDTH <= size; at += 4 * WIDTH) {
        memcpy(&a, from + at, WIDTH);
        memcpy(&b, from + at + WIDTH, WIDTH);
        memcpy(&c, from + at + 2 * WIDTH, WIDTH);
        memcpy(&d, from + at + 3 * WIDTH, WIDTH);
        a ^= key;
        b ^= key;
        c ^= key;
        d ^= key;
        seen |= (a | b) | (c | d);
        memcpy(to + at, &a, WIDTH);
        memcpy(to + at + WIDTH, &b, WIDTH);
        memcpy(to + at + 2 * WIDTH, &c, WIDTH);
        memcpy(to + at + 3 * WIDTH, &d, WIDTH);
    }
    memcpy(every, &seen, WIDTH);
    for (Py_ssize_t i = 0; i < WIDTH; i++)
        any |= every[i];
    for (; at < size; at++) {
        to[at] = from[at] ^ mask[at & 3];
        any |= to[at];
    }
    return any;
}

static const unsigned char NO_MASK[4] = {0, 0, 0, 0};

PyObject *
wsframe_unmask(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    Py_buffer payload, mask;
    PyObject *result = NULL;

    (void)module;
    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "unmask() takes a payload and a mask");
        return NULL;
    }
    if (PyObject_GetBuffer(args[0], &payload, PyBUF_SIMPLE) < 0)
        return NULL;
    if (PyObject_GetBuffer(args[1], &mask, PyBUF_SIMPLE) < 0) {
        PyBuffer_Release(&payload);
        return NULL;
    }
    if (mask.len != 4)
        PyErr_SetString(PyExc_ValueError, "a mask has 4 bytes");
    else if ((result = PyBytes_FromStringAndSize(NULL, payload.len)) != NULL)
        wsframe_copy_unmasked((unsigned char *)PyBytes_AS_STRING(result), payload.buf, payload.len, mask.buf);
    PyBuffer_Release(&mask);
    PyBuffer_Release(&payload);
    return result;
}

/* Write the header of an unmasked frame; return its size. */
static Py_ssize_t
write_header(unsigned char *to, unsigned char first, Py_ssize_t length)
{
    to[0] = first;
    if (length < 126) {
        to[1] = (unsigned char)length;
        return 2;
    }
    if (length < 65536) {
        to[1] = 126;
        to[2] = (unsigned char)(length >> 8);
        to[3] = (unsigned char)length;
        return 4;
    }
    to[1] = 127;
    for (int i = 0; i < 8; i++)
        to[2 + i] = (unsigned char)((uint64_t)length >> (56 - 8 * i));
    return 10;
}

/* Make a LargeFrame: its payload stays where it is. */
static PyObject *
large_frame(Module *m, const unsigned char *header, Py_ssize_t size, PyObject *payload)
{
    PyObject *cls = wsframe_find(&m->large_frame, "wsframe.protocol.frames", "LargeFrame", NULL);
    PyObject *result = cls == NULL ? NULL : PyObject_CallFunction(cls, "y#O", (const char *)header, size, payload);

    Py_XDECREF(cls);
    return result;
}

PyObject *
wsframe_data_frame(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    unsigned char header[10];
    Py_ssize_t length, size;
    PyObject *frame;
    long opcode;

    if (nargs != 2 || !PyBytes_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "data_frame() takes an opcode and bytes");
        return NULL;
    }
    opcode = PyLong_AsLong(args[0]);
    if (opcode < 0 || opcode > 0x7F) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "an opcode has 4 bits, with up to 3 reserved ones");
        return NULL;
    }
    length = PyBytes_GET_SIZE(args[1]);
    size = write_header(header, (unsigned char)(0x80 | opcode), length);
    if (length >= LARGE)
        return large_frame(PyModule_GetState(module), header, size, args[1]);
    if ((frame = PyBytes_FromStringAndSize(NULL, size + length)) == NULL)
        return NULL;
    memcpy(PyBytes_AS_STRING(frame), header, (size_t)size);
    memcpy(PyBytes_AS_STRING(frame) + size, PyBytes_AS_STRING(args[1]), (size_t)length);
    return frame;
}

/* Measure a frame by the rest of its header. */
static enum found
measure_length(const unsigned char *data, Py_ssize_t size, uint64_t limit, int masked, struct extent *extent)
{
    Py_ssize_t start = masked ? 6 : 2;
    uint64_t length;

    if (size < start || (data[1] >> 7) != masked)
        return NOT_FOR_THE_LANE;
    length = data[1] & 0x7F;
    if (length > 125) {
        uint64_t least = length == 126 ? 126 : 65536; /* the length is written the shortest way */
        int extended = length == 126 ? 2 : 8;

        start += extended;
        if (size < start)
            return NOT_FOR_THE_LANE;
        length = 0;
        for (int i = 2; i < 2 + extended; i++)
            length = length << 8 | data[i];
        if (length < least)
            return NOT_FOR_THE_LANE;
    }
    if (length > limit || length > (uint64_t)(PY_SSIZE_T_MAX - LONGEST_HEADER))
        return NOT_FOR_THE_LANE;
    extent->start = start;
    extent->length = (Py_ssize_t)length;
    return length <= (uint64_t)(size - start) ? WHOLE : PARTIAL;
}

enum found
wsframe_measure(const unsigned char *data, Py_ssize_t size, uint64_t limit, int masked, struct extent *extent)
{
    if (size < 1 || (data[0] != WHOLE_TEXT && data[0] != WHOLE_BINARY))
        return NOT_FOR_THE_LANE;
    return measure_length(data, size, limit, masked, extent);
}

/* Make the message of a whole frame; NULL without an exception set if it is not UTF-8. */
static PyObject *
message_of(const unsigned char *payload, Py_ssize_t length, const unsigned char *mask, int text)
{
    PyObject *bytes, *message;
    unsigned char seen;

    if (text) {
        /* Nearly every text is ASCII: unmask it right into a str, and do it again if it was not. */
        if ((message = PyUnicode_New(length, 127)) == NULL)
            return NULL;
        if (length == 0)
            return message;
        seen = wsframe_copy_unmasked(PyUnicode_1BYTE_DATA(message), payload, length, mask);
        if (!(seen & 0x80))
            return message;
        Py_DECREF(message);
    }
    if ((bytes = PyBytes_FromStringAndSize(NULL, length)) == NULL)
        return NULL;
    if (length)
        wsframe_copy_unmasked((unsigned char *)PyBytes_AS_STRING(bytes), payload, length, mask);
    if (!text)
        return bytes;
    message = PyUnicode_DecodeUTF8(PyBytes_AS_STRING(bytes), length, NULL);
    Py_DECREF(bytes);
    if (message == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
        PyErr_Clear();
    return message;
}

/* As weigh(), for a message whose payload had so many bytes. */
static Py_ssize_t
weigh(PyObject *message, Py_ssize_t length)
{
    if (PyBytes_CheckExact(message) || PyUnicode_IS_COMPACT_ASCII(message))
        return length;
    return (Py_ssize_t)(sizeof(PyCompactUnicodeObject) - sizeof(PyASCIIObject)) - 1 +
           (PyUnicode_GET_LENGTH(message) + 1) * (Py_ssize_t)PyUnicode_KIND(message);
}

/* As read_messages(), on bytes that nobody changes in the meantime; -1 with an exception set. */
int
wsframe_read_lane(const unsigned char *data, Py_ssize_t size, Py_ssize_t *at, Py_ssize_t room, uint64_t limit,
                  int masked, PyObject *messages, Py_ssize_t *byte_count, Py_ssize_t *wanted)
{
    *byte_count = *wanted = 0;
    while (PyList_GET_SIZE(messages) < room) {
        const unsigned char *frame = data + *at;
        struct extent extent;
        PyObject *message;
        enum found found = wsframe_measure(frame, size - *at, limit, masked, &extent);
        int failed;

        if (found == PARTIAL)
            *wanted = extent.start + extent.length;
        if (found != WHOLE)
            break;
        message = message_of(frame + extent.start, extent.length, masked ? frame + extent.start - 4 : NO_MASK,
                             frame[0] == WHOLE_TEXT);
        if (message == NULL)
            return PyErr_Occurred() ? -1 : 0;
        failed = PyList_Append(messages, message);
        *byte_count += weigh(message, extent.length);
        Py_DECREF(message);
        if (failed)
            return -1;
        *at += extent.start + extent.length;
    }
    return 0;
}

PyObject *
wsframe_read_messages(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    Py_ssize_t at, room, byte_count, wanted;
    unsigned long long limit;
    Py_buffer data;
    int masked, failed;

    (void)module;
    if (nargs != 6 || !PyList_CheckExact(args[5])) {
        PyErr_SetString(PyExc_TypeError, "read_messages() takes data, at, room, limit, masked and a list");
        return NULL;
    }
    at = PyLong_AsSsize_t(args[1]);
    room = PyNumber_AsSsize_t(args[2], NULL); /* somebody may mean no limit by a large one */
    limit = PyLong_AsUnsignedLongLong(args[3]);
    masked = PyObject_IsTrue(args[4]);
    if (PyErr_Occurred() || PyObject_GetBuffer(args[0], &data, PyBUF_SIMPLE) < 0)
        return NULL;
    if (at < 0 || at > data.len) {
        PyBuffer_Release(&data);
        PyErr_SetString(PyExc_ValueError, "at lies outside the data");
        return NULL;
    }
    failed = wsframe_read_lane(data.buf, data.len, &at, room, limit, masked, args[5], &byte_count, &wanted);
    PyBuffer_Release(&data);
    if (failed)
        return NULL;
    return Py_BuildValue("nnn", at, byte_count, wanted);
}


/* Where the frame at `at` ends, at most PY_SSIZE_T_MAX; -1 if its header is not whole. */
static Py_ssize_t
end_of_frame(const unsigned char *data, Py_ssize_t size, Py_ssize_t at)
{
    Py_ssize_t header = data[at + 1] & 0x80 ? 6 : 2;
    uint64_t length = data[at + 1] & 0x7F;
    int extended = length == 126 ? 2 : length == 127 ? 8 : 0;

    header += extended;
    if (size - at < header)
        return -1;
    if (extended) {
        length = 0;
        for (int i = 2; i < 2 + extended; i++)
            length = length << 8 | data[at + i];
    }
    at += header;
    return length > (uint64_t)(PY_SSIZE_T_MAX - at) ? PY_SSIZE_T_MAX : at + (Py_ssize_t)length;
}

PyObject *
wsframe_skip_frames(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    Py_ssize_t at, stop;
    Py_buffer data;

    (void)module;
    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "skip_frames() takes data and at");
        return NULL;
    }
    at = PyLong_AsSsize_t(args[1]);
    if ((at == -1 && PyErr_Occurred()) || PyObject_GetBuffer(args[0], &data, PyBUF_SIMPLE) < 0)
        return NULL;
    if (at < 0 || at > data.len) {
        PyBuffer_Release(&data);
        PyErr_SetString(PyExc_ValueError, "at lies outside the data");
        return NULL;
    }
    while (at < data.len - 1 && (((unsigned char *)data.buf)[at] & 0x0F) != CLOSE) {
        if ((stop = end_of_frame(data.buf, data.len, at)) < 0)
            break;
        at = stop;
    }
    PyBuffer_Release(&data);
    return PyLong_FromSsize_t(at);
}

/* Measure a whole plain frame of a message in fragments; return whether it is one. */
static int
is_fragment(const unsigned char *data, Py_ssize_t size, int begun, uint64_t limit, int masked, struct extent *extent)
{
    return size > 0 && (begun ? !(data[0] & 0x7F) : data[0] == 1 || data[0] == 2) &&
           measure_length(data, size, limit, masked, extent) == WHOLE;
}

PyObject *
wsframe_gather_fragments(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    Py_ssize_t at, most, limit, room, have, count = 0;
    struct extent extent;
    Py_buffer data;
    int begun, masked, fin = 0, failed = 0;

    (void)module;
    if (nargs != 8 || !PyByteArray_CheckExact(args[2]) || args[0] == args[2]) {
        PyErr_SetString(PyExc_TypeError, "gather_fragments() takes data, at, a bytearray, begun, most, limit, room and masked");
        return NULL;
    }
    at = PyLong_AsSsize_t(args[1]);
    begun = PyObject_IsTrue(args[3]);
    most = PyNumber_AsSsize_t(args[4], NULL); /* a large one means no limit */
    limit = PyNumber_AsSsize_t(args[5], NULL);
    room = PyNumber_AsSsize_t(args[6], NULL);
    masked = PyObject_IsTrue(args[7]);
    if (PyErr_Occurred() || PyObject_GetBuffer(args[0], &data, PyBUF_SIMPLE) < 0)
        return NULL;
    if (at < 0 || at > data.len) {
        PyBuffer_Release(&data);
        PyErr_SetString(PyExc_ValueError, "at lies outside the data");
        return NULL;
    }
    have = PyByteArray_GET_SIZE(args[2]);
    while (!failed && !fin && count < most && have <= room) {
        const unsigned char *frame = (const unsigned char *)data.buf + at;
        Py_ssize_t most_bytes = room - have < limit ? room - have : limit;

        if (!is_fragment(frame, data.len - at, begun, most_bytes < 0 ? 0 : (uint64_t)most_bytes, masked, &extent) ||
            most_bytes < 0)
            break;
        if (PyByteArray_Resize(args[2], have + extent.length) < 0)
            failed = 1;
        else {
            wsframe_copy_unmasked((unsigned char *)PyByteArray_AS_STRING(args[2]) + have, frame + extent.start,
                                  extent.length, masked ? frame + extent.start - 4 : NO_MASK);
            have += extent.length;
            at += extent.start + extent.length;
            fin = frame[0] >> 7;
            begun = 1;
            count++;
        }
    }
    PyBuffer_Release(&data);
    return failed ? NULL : Py_BuildValue("nnO", at, count, fin ? Py_True : Py_False);
}
