/* The hot work of wsframe in C; see wsframe/speedups.py.

   Each function does what the function of the same name does in Python, which is where it is
   described: protocol/frames.py and protocol/lane.py. What strangers sent is read by bounds
   checked against the buffer's size, and nothing here keeps state between two calls. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define WHOLE_TEXT 0x81
#define WHOLE_BINARY 0x82

/* ---- Frames ---- */

/* Copy `size` octets without their masking key; return the OR of all that were written, whose
   high bit tells whether any is above ASCII. */
static unsigned char
copy_unmasked(unsigned char *restrict to, const unsigned char *restrict from, Py_ssize_t size,
              const unsigned char *mask)
{
    uint64_t wide, seen = 0, key;
    unsigned char rest = 0;
    Py_ssize_t at = 0;

    memcpy(&key, mask, 4);
    memcpy((unsigned char *)&key + 4, mask, 4);
    for (; at + 32 <= size; at += 32) {
        uint64_t four[4];
        memcpy(four, from + at, 32);
        for (int i = 0; i < 4; i++) {
            four[i] ^= key;
            seen |= four[i];
        }
        memcpy(to + at, four, 32);
    }
    for (; at + 8 <= size; at += 8) {
        memcpy(&wide, from + at, 8);
        wide ^= key;
        seen |= wide;
        memcpy(to + at, &wide, 8);
    }
    for (; at < size; at++) {
        to[at] = from[at] ^ mask[at & 3];
        rest |= to[at];
    }
    if (seen & UINT64_C(0x8080808080808080))
        rest |= 0x80;
    return rest;
}

static const unsigned char NO_MASK[4] = {0, 0, 0, 0};

static PyObject *
unmask(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    Py_buffer payload, mask;
    PyObject *result = NULL;

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
        PyErr_SetString(PyExc_ValueError, "a mask has 4 octets");
    else if ((result = PyBytes_FromStringAndSize(NULL, payload.len)) != NULL)
        copy_unmasked((unsigned char *)PyBytes_AS_STRING(result), payload.buf, payload.len, mask.buf);
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

static PyObject *
data_frame(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
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
    if (opcode == -1 && PyErr_Occurred())
        return NULL;
    length = PyBytes_GET_SIZE(args[1]);
    size = write_header(header, (unsigned char)(0x80 | opcode), length);
    if ((frame = PyBytes_FromStringAndSize(NULL, size + length)) == NULL)
        return NULL;
    memcpy(PyBytes_AS_STRING(frame), header, (size_t)size);
    memcpy(PyBytes_AS_STRING(frame) + size, PyBytes_AS_STRING(args[1]), (size_t)length);
    return frame;
}

/* ---- The fast lane ---- */

/* Where a frame of the lane begins and ends. */
struct extent {
    Py_ssize_t start, length;
};

enum found { WHOLE, PARTIAL, NOT_FOR_THE_LANE };

static enum found
measure(const unsigned char *data, Py_ssize_t size, uint64_t limit, int masked, struct extent *extent)
{
    Py_ssize_t mask_size = masked ? 4 : 0;
    Py_ssize_t start = 2 + mask_size;
    uint64_t length;

    if (size < start || (data[0] != WHOLE_TEXT && data[0] != WHOLE_BINARY) || (data[1] >> 7) != masked)
        return NOT_FOR_THE_LANE;
    length = data[1] & 0x7F;
    if (length > 125) {
        if (size < 10 + mask_size)
            return NOT_FOR_THE_LANE;
        if (length == 126) {
            length = (uint64_t)data[2] << 8 | data[3];
            if (length < 126)
                return NOT_FOR_THE_LANE;
            start += 2;
        }
        else {
            length = 0;
            for (int i = 2; i < 10; i++)
                length = length << 8 | data[i];
            if (length < 65536)
                return NOT_FOR_THE_LANE;
            start += 8;
        }
    }
    if (length > limit)
        return NOT_FOR_THE_LANE;
    extent->start = start;
    extent->length = (Py_ssize_t)length;
    return length <= (uint64_t)(size - start) ? WHOLE : PARTIAL;
}

/* Make the message of a whole frame; NULL without an exception set if it is not UTF-8. */
static PyObject *
message_of(const unsigned char *payload, Py_ssize_t length, const unsigned char *mask, int text)
{
    PyObject *octets, *message;
    unsigned char seen;

    if (text) {
        /* Nearly every text is ASCII: unmask it right into a str, and do it again if it was not. */
        if ((message = PyUnicode_New(length, 127)) == NULL)
            return NULL;
        if (length == 0)
            return message;
        seen = copy_unmasked(PyUnicode_1BYTE_DATA(message), payload, length, mask);
        if (!(seen & 0x80))
            return message;
        Py_DECREF(message);
    }
    if ((octets = PyBytes_FromStringAndSize(NULL, length)) == NULL)
        return NULL;
    if (length)
        copy_unmasked((unsigned char *)PyBytes_AS_STRING(octets), payload, length, mask);
    if (!text)
        return octets;
    message = PyUnicode_DecodeUTF8(PyBytes_AS_STRING(octets), length, NULL);
    Py_DECREF(octets);
    if (message == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
        PyErr_Clear();
    return message;
}

/* What read_messages() does, on octets that nobody changes meanwhile; -1 with an exception set. */
static int
read_lane(const unsigned char *data, Py_ssize_t size, Py_ssize_t *at, Py_ssize_t room, uint64_t limit, int masked,
          PyObject *messages, Py_ssize_t *octets, Py_ssize_t *wanted)
{
    *octets = *wanted = 0;
    while (PyList_GET_SIZE(messages) < room) {
        const unsigned char *frame = data + *at;
        struct extent extent;
        PyObject *message;
        enum found found = measure(frame, size - *at, limit, masked, &extent);
        int failed;

        if (found == PARTIAL && frame[0] == WHOLE_BINARY)
            *wanted = extent.start + extent.length;
        if (found != WHOLE)
            break;
        message = message_of(frame + extent.start, extent.length, masked ? frame + extent.start - 4 : NO_MASK,
                             frame[0] == WHOLE_TEXT);
        if (message == NULL)
            return PyErr_Occurred() ? -1 : 0;
        failed = PyList_Append(messages, message);
        Py_DECREF(message);
        if (failed)
            return -1;
        *octets += extent.length;
        *at += extent.start + extent.length;
    }
    return 0;
}

static PyObject *
read_messages(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    Py_ssize_t at, room, octets, wanted;
    unsigned long long limit;
    Py_buffer data;
    int masked, failed;

    if (nargs != 6 || !PyList_CheckExact(args[5])) {
        PyErr_SetString(PyExc_TypeError, "read_messages() takes data, at, room, limit, masked and a list");
        return NULL;
    }
    at = PyLong_AsSsize_t(args[1]);
    room = PyLong_AsSsize_t(args[2]);
    limit = PyLong_AsUnsignedLongLong(args[3]);
    masked = PyObject_IsTrue(args[4]);
    if (PyErr_Occurred() || PyObject_GetBuffer(args[0], &data, PyBUF_SIMPLE) < 0)
        return NULL;
    if (at < 0 || at > data.len) {
        PyBuffer_Release(&data);
        PyErr_SetString(PyExc_ValueError, "at lies outside the data");
        return NULL;
    }
    failed = read_lane(data.buf, data.len, &at, room, limit, masked, args[5], &octets, &wanted);
    PyBuffer_Release(&data);
    if (failed)
        return NULL;
    return Py_BuildValue("nnn", at, octets, wanted);
}

/* ---- The module ---- */

static PyMethodDef METHODS[] = {
    {"unmask", (PyCFunction)(void (*)(void))unmask, METH_FASTCALL, NULL},
    {"data_frame", (PyCFunction)(void (*)(void))data_frame, METH_FASTCALL, NULL},
    {"read_messages", (PyCFunction)(void (*)(void))read_messages, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot SLOTS[] = {
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT,
    .m_name = "wsframe._speedups",
    .m_doc = "The hot work of wsframe in C; see wsframe.speedups.",
    .m_methods = METHODS,
    .m_slots = SLOTS,
};

PyMODINIT_FUNC
PyInit__speedups(void)
{
    return PyModuleDef_Init(&MODULE);
}
