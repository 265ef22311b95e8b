/* The hot work of wsframe in C; see wsframe/speedups.py.

   Each function does what the function of the same name does in Python, which is where it is
   described: protocol/frames.py and protocol/lane.py. What strangers sent is read by bounds
   checked against the buffer's size, and nothing here keeps state between two calls. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#ifndef _WIN32
#include <sys/socket.h>
#include <sys/types.h>
#endif

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

#ifndef _WIN32 /* where sockets are no descriptors */

/* ---- What receiving and sending look into ---- */

/* Attributes of the objects that the functions below look into. */
enum name {
    APPEND, BLOCKED, BUCKETS, BUDGET, CONNECTION, DEADLINES, DOORBELL, DRAINED, ENGINE, ENTRIES, HEARD_AT, BUDGET_HELD,
    HELD, INBOX, ITEMS, LANE_LIMIT, LATEST, LIMIT, LOST, MAILBOX, MAX_MESSAGES, MAX_OCTETS, MUTED, OCTETS, OCTETS_SENT,
    OFFSET, RAW_FD, RECEIVED, RING, SHUT, STATE, WAITING, WANTED, NAMES
};

static const char *const SPELLING[NAMES] = {
    "append", "blocked", "_buckets", "budget", "connection", "deadlines", "doorbell", "drained", "_engine", "entries",
    "heard_at", "held", "_held", "inbox", "items", "_lane_limit", "_latest", "limit", "lost", "mailbox",
    "max_messages", "max_octets", "muted", "octets", "octets_sent", "_offset", "raw_fd", "received", "ring", "shut",
    "state", "waiting", "_wanted",
};

typedef struct {
    PyObject *names[NAMES];
    PyObject *open; /* State.OPEN, once it is needed */
} Module;

static PyObject *
open_state(void)
{
    PyObject *close = PyImport_ImportModule("wsframe.protocol.close"), *state, *open;

    state = close == NULL ? NULL : PyObject_GetAttrString(close, "State");
    open = state == NULL ? NULL : PyObject_GetAttrString(state, "OPEN");
    Py_XDECREF(state);
    Py_XDECREF(close);
    return open;
}

static PyObject *
get(Module *m, PyObject *of, enum name name)
{
    return PyObject_GetAttr(of, m->names[name]);
}

/* Tell whether an attribute is the very object; -1 with an exception set. */
static int
is(Module *m, PyObject *of, enum name name, PyObject *wanted)
{
    PyObject *value = get(m, of, name);

    if (value == NULL)
        return -1;
    Py_DECREF(value);
    return value == wanted;
}

/* Read an attribute that is an int; -1 with an exception set is told apart by PyErr_Occurred(). */
static Py_ssize_t
number(Module *m, PyObject *of, enum name name)
{
    PyObject *value = get(m, of, name);
    Py_ssize_t result;

    if (value == NULL)
        return -1;
    result = PyLong_AsSsize_t(value);
    Py_DECREF(value);
    return result;
}

static int
set_number(Module *m, PyObject *of, enum name name, Py_ssize_t number)
{
    PyObject *value = PyLong_FromSsize_t(number);
    int failed = value == NULL || PyObject_SetAttr(of, m->names[name], value) < 0;

    Py_XDECREF(value);
    return failed ? -1 : 0;
}

/* What is needed of an inbox to put messages into it. */
struct share {
    PyObject *inbox, *budget;
    Py_ssize_t waiting, octets, held, room;
};

static void
release_share(struct share *share)
{
    Py_CLEAR(share->inbox);
    Py_CLEAR(share->budget);
}

/* Look up a client's share of its mailbox; return 1, or 0 if it has none, -1 with an exception set. */
static int
find_share(Module *m, PyObject *link, struct share *share)
{
    Py_ssize_t most;
    int muted;

    if ((share->inbox = get(m, link, INBOX)) == NULL || (share->budget = get(m, share->inbox, BUDGET)) == NULL)
        return -1;
    muted = is(m, share->inbox, MUTED, Py_True);
    share->waiting = number(m, share->inbox, WAITING);
    share->octets = number(m, share->inbox, OCTETS);
    share->held = number(m, share->budget, BUDGET_HELD);
    most = number(m, share->inbox, MAX_MESSAGES);
    if (muted < 0 || PyErr_Occurred())
        return -1;
    share->room = most - share->waiting;
    return !muted;
}

/* Tell whether messages fit in without the share or the budget being used up: those are for Python. */
static int
fits(Module *m, const struct share *share, Py_ssize_t count, Py_ssize_t octets)
{
    Py_ssize_t most = number(m, share->inbox, MAX_OCTETS), limit = number(m, share->budget, LIMIT);

    if (PyErr_Occurred())
        return -1;
    return count < share->room && share->octets + octets < most && share->held + octets <= limit;
}

/* Do what Inbox.put() does. */
static int
put(Module *m, const struct share *share, PyObject *messages, Py_ssize_t octets)
{
    PyObject *mailbox = get(m, share->inbox, MAILBOX), *entries = NULL, *done = NULL;
    Py_ssize_t count = PyList_GET_SIZE(messages), before = 0;
    int failed = mailbox == NULL || (entries = get(m, mailbox, ENTRIES)) == NULL ||
                 (before = PyObject_Size(entries)) < 0;

    for (Py_ssize_t at = 0; !failed && at < count; at++) {
        PyObject *entry = PyTuple_Pack(2, share->inbox, PyList_GET_ITEM(messages, at));
        done = entry == NULL ? NULL : PyObject_CallMethodOneArg(entries, m->names[APPEND], entry);
        Py_XDECREF(entry);
        failed = done == NULL;
        Py_XDECREF(done);
    }
    if (!failed)
        failed = set_number(m, share->inbox, WAITING, share->waiting + count) < 0 ||
                 set_number(m, share->inbox, OCTETS, share->octets + octets) < 0 ||
                 set_number(m, share->budget, BUDGET_HELD, share->held + octets) < 0 ||
                 set_number(m, share->inbox, RECEIVED, number(m, share->inbox, RECEIVED) + count) < 0;
    if (!failed && before == 0) { /* else it has been rung already */
        PyObject *doorbell = get(m, mailbox, DOORBELL);
        done = doorbell == NULL ? NULL : PyObject_CallMethodNoArgs(doorbell, m->names[RING]);
        failed = done == NULL;
        Py_XDECREF(done);
        Py_XDECREF(doorbell);
    }
    Py_XDECREF(entries);
    Py_XDECREF(mailbox);
    return failed ? -1 : 0;
}

/* Call a method without arguments for its effect. */
static int
tell(Module *m, PyObject *object, enum name name)
{
    PyObject *done = PyObject_CallMethodNoArgs(object, m->names[name]);

    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* Give up a link on which something failed here, out of memory for one; no other is concerned. */
static void
fail(Module *m, PyObject *link)
{
    PyErr_WriteUnraisable(link);
    if (tell(m, link, LOST) < 0)
        PyErr_WriteUnraisable(link);
}

/* Take octets that are nothing but whole messages, for which there is room; 0 if they are not, or there is not. */
static int
take_whole(Module *m, PyObject *link, PyObject *connection, const unsigned char *data, Py_ssize_t size)
{
    struct share share = {NULL, NULL, 0, 0, 0, 0};
    Py_ssize_t at = 0, octets = 0, wanted, limit = number(m, connection, LANE_LIMIT);
    PyObject *messages = NULL;
    int taken = PyErr_Occurred() ? -1 : find_share(m, link, &share);

    if (taken > 0 && (messages = PyList_New(0)) == NULL)
        taken = -1;
    if (taken > 0 && read_lane(data, size, &at, share.room, (uint64_t)limit, 1, messages, &octets, &wanted) < 0)
        taken = -1;
    if (taken > 0)
        taken = at < size ? 0 : fits(m, &share, PyList_GET_SIZE(messages), octets);
    if (taken > 0 && put(m, &share, messages, octets) < 0)
        fail(m, link); /* some may be in the mailbox: Python must not take them again */
    Py_XDECREF(messages);
    release_share(&share);
    return taken;
}

/* Octets that one read brings at most to a message that has begun: each read costs a turn of the reactor. */
#define LARGE_READ (256 * 1024)

/* Read more of a message whose first part is held, right behind that part: it is copied once less. */
static Py_ssize_t
receive_more(int fd, PyObject *held, Py_ssize_t wanted)
{
    Py_ssize_t have = PyByteArray_GET_SIZE(held), more = wanted - have, count;
    int error;

    if (more > LARGE_READ)
        more = LARGE_READ;
    if (PyByteArray_Resize(held, have + more) < 0) {
        PyErr_Clear();
        errno = ENOMEM;
        return -1;
    }
    count = recv(fd, PyByteArray_AS_STRING(held) + have, (size_t)more, 0);
    error = errno;
    if (PyByteArray_Resize(held, have + (count > 0 ? count : 0)) < 0)
        PyErr_Clear(); /* it cannot: this makes it smaller */
    errno = error;
    return count;
}

/* Tell whether octets may go straight to the lane: no frame or message is half done, nothing is to be counted. */
static int
is_simple(Module *m, PyObject *link, PyObject *connection, PyObject *held)
{
    return held == Py_None && is(m, connection, ENGINE, Py_None) == 1 && is(m, link, BUCKETS, Py_None) == 1 &&
           is(m, connection, STATE, m->open) == 1;
}

/* Receive once from a link that has a socket, and take what comes if that is simple.

   Returns 1 when that is done, 0 to leave it to Python: with what was received in *rest, or
   NULL there if nothing was; -1 with an exception set. */
static int
receive_link(Module *m, PyObject *link, int fd, PyObject *connection, PyObject *buffer, PyObject *now, PyObject **rest)
{
    PyObject *held = get(m, connection, HELD), *deadlines = NULL;
    Py_ssize_t wanted = number(m, connection, WANTED), count;
    int done = -1, more;
    char *data = PyByteArray_AS_STRING(buffer);

    if (held == NULL || PyErr_Occurred())
        goto out;
    more = PyByteArray_CheckExact(held) && PyByteArray_GET_SIZE(held) < wanted;
    count = more ? receive_more(fd, held, wanted) : recv(fd, data, (size_t)PyByteArray_GET_SIZE(buffer), 0);
    if (count == 0)
        done = 0; /* an end shows again, an error does not */
    else if (count < 0)
        done = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || tell(m, link, LOST) == 0 ? 1 : -1;
    if (count <= 0 || (deadlines = get(m, connection, DEADLINES)) == NULL ||
        PyObject_SetAttr(deadlines, m->names[HEARD_AT], now) < 0)
        goto out;
    done = !more && is_simple(m, link, connection, held) &&
           take_whole(m, link, connection, (unsigned char *)data, count) == 1;
    PyErr_Clear(); /* Python takes it now, or fails at it with a traceback */
    if (!done && (*rest = PyByteArray_FromStringAndSize(data, more ? 0 : count)) == NULL)
        done = -1;
out:
    Py_XDECREF(deadlines);
    Py_XDECREF(held);
    return done;
}

/* Receive from one link that is ready; add it to `rest` if there is something for Python to do. */
static int
turn(Module *m, PyObject *link, PyObject *flags, PyObject *buffer, PyObject *now, PyObject *rest)
{
    Py_ssize_t fd = number(m, link, RAW_FD);
    PyObject *received = NULL, *connection, *entry;
    int done = 0;

    if (fd >= 0 && PyLong_AsLong(flags) == 1) { /* nothing but READ */
        connection = get(m, link, CONNECTION);
        done = connection == NULL ? -1 : receive_link(m, link, (int)fd, connection, buffer, now, &received);
        Py_XDECREF(connection);
    }
    if (done < 0 || PyErr_Occurred()) {
        fail(m, link);
        return 0;
    }
    if (done)
        return 0;
    entry = PyTuple_Pack(3, link, flags, received == NULL ? Py_None : received);
    Py_XDECREF(received);
    if (entry == NULL)
        return -1;
    done = PyList_Append(rest, entry);
    Py_DECREF(entry);
    return done;
}

static PyObject *
receive_ready(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    Module *m = PyModule_GetState(module);
    PyObject *rest;

    if (nargs != 4 || !PyList_CheckExact(args[0]) || !PyDict_CheckExact(args[1]) || !PyByteArray_CheckExact(args[2])) {
        PyErr_SetString(PyExc_TypeError, "receive_ready() takes a list, a dict, a bytearray and a time");
        return NULL;
    }
    if (m->open == NULL && (m->open = open_state()) == NULL)
        return NULL;
    if ((rest = PyList_New(0)) == NULL)
        return NULL;
    for (Py_ssize_t at = 0; at < PyList_GET_SIZE(args[0]); at++) {
        PyObject *pair = PyList_GET_ITEM(args[0], at), *link;

        if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2) {
            PyErr_SetString(PyExc_TypeError, "ready is a list of pairs");
            Py_DECREF(rest);
            return NULL;
        }
        link = PyDict_GetItemWithError(args[1], PyTuple_GET_ITEM(pair, 0));
        Py_XINCREF(link); /* it may end, and leave the dict, while it is looked at */
        if (link == NULL ? PyErr_Occurred() != NULL
                         : turn(m, link, PyTuple_GET_ITEM(pair, 1), args[2], args[3], rest) < 0) {
            Py_XDECREF(link);
            Py_DECREF(rest);
            return NULL;
        }
        Py_XDECREF(link);
    }
    return rest;
}

/* ---- Sending ---- */

/* Frames that are joined on the stack before they are sent. */
#define JOINED (16 * 1024)

/* Hand what waits in an outbox to the kernel in one call; return what it took, -1 if that is for Python to do. */
static Py_ssize_t
send_items(int fd, PyObject *items, Py_ssize_t octets)
{
    Py_ssize_t count = PyList_GET_SIZE(items), size = 0;
    char joined[JOINED];
    PyObject *item = PyList_GET_ITEM(items, 0);

    if (!PyBytes_CheckExact(item))
        return -1;
    if (count == 1)
        return send(fd, PyBytes_AS_STRING(item), (size_t)PyBytes_GET_SIZE(item), MSG_NOSIGNAL);
    if (octets > JOINED)
        return -1;
    for (Py_ssize_t at = 0; at < count; at++) {
        item = PyList_GET_ITEM(items, at);
        if (!PyBytes_CheckExact(item) || size + PyBytes_GET_SIZE(item) > JOINED)
            return -1;
        memcpy(joined + size, PyBytes_AS_STRING(item), (size_t)PyBytes_GET_SIZE(item));
        size += PyBytes_GET_SIZE(item);
    }
    return send(fd, joined, (size_t)size, MSG_NOSIGNAL);
}

/* Send all that waits in an outbox. Returns what was sent if that was not all or something hinges
   on it, -1 if Python has to do it all; -2 when it is done, -3 with an exception set. */
static Py_ssize_t
send_outbox(Module *m, PyObject *outbox)
{
    Py_ssize_t fd = number(m, outbox, RAW_FD), octets = number(m, outbox, OCTETS), offset = number(m, outbox, OFFSET);
    Py_ssize_t sent = -1;
    PyObject *items = NULL;

    if (PyErr_Occurred())
        return -3;
    if (fd < 0 || offset || is(m, outbox, BLOCKED, Py_False) != 1 || (items = get(m, outbox, ITEMS)) == NULL)
        return PyErr_Occurred() ? -3 : -1;
    if (!PyList_CheckExact(items))
        goto out;
    if (PyList_GET_SIZE(items) == 0) {
        sent = -2;
        goto out;
    }
    sent = send_items((int)fd, items, octets);
    if (sent < 0)
        sent = -1;
    else if (sent == octets && is(m, outbox, SHUT, Py_False) == 1 && is(m, outbox, DRAINED, Py_None) == 1 &&
             is(m, outbox, LATEST, Py_None) == 1) {
        sent = -3;
        if (PyList_SetSlice(items, 0, PyList_GET_SIZE(items), NULL) == 0 && set_number(m, outbox, OCTETS, 0) == 0 &&
            set_number(m, outbox, OCTETS_SENT, number(m, outbox, OCTETS_SENT) + octets) == 0)
            sent = -2;
    }
out:
    Py_DECREF(items);
    return sent;
}

static PyObject *
send_whole(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    Module *m = PyModule_GetState(module);
    PyObject *rest;

    if (nargs != 1 || !PyList_CheckExact(args[0])) {
        PyErr_SetString(PyExc_TypeError, "send_whole() takes a list of outboxes");
        return NULL;
    }
    if ((rest = PyList_New(0)) == NULL)
        return NULL;
    for (Py_ssize_t at = 0; at < PyList_GET_SIZE(args[0]); at++) {
        PyObject *outbox = PyList_GET_ITEM(args[0], at), *entry;
        Py_ssize_t sent = send_outbox(m, outbox);
        int failed;

        if (sent == -2)
            continue;
        entry = sent == -3 ? NULL : Py_BuildValue("On", outbox, sent);
        failed = entry == NULL || PyList_Append(rest, entry) < 0;
        Py_XDECREF(entry);
        if (failed) {
            Py_DECREF(rest);
            return NULL;
        }
    }
    return rest;
}

#endif

/* ---- The module ---- */

static PyMethodDef METHODS[] = {
    {"unmask", (PyCFunction)(void (*)(void))unmask, METH_FASTCALL, NULL},
    {"data_frame", (PyCFunction)(void (*)(void))data_frame, METH_FASTCALL, NULL},
    {"read_messages", (PyCFunction)(void (*)(void))read_messages, METH_FASTCALL, NULL},
#ifndef _WIN32
    {"receive_ready", (PyCFunction)(void (*)(void))receive_ready, METH_FASTCALL, NULL},
    {"send_whole", (PyCFunction)(void (*)(void))send_whole, METH_FASTCALL, NULL},
#endif
    {NULL, NULL, 0, NULL},
};

static int
start(PyObject *module)
{
    Module *m = PyModule_GetState(module);

    for (int name = 0; name < NAMES; name++)
        if ((m->names[name] = PyUnicode_InternFromString(SPELLING[name])) == NULL)
            return -1;
    return 0;
}

static int
traverse(PyObject *module, visitproc visit, void *arg)
{
    Module *m = PyModule_GetState(module);

    for (int name = 0; name < NAMES; name++)
        Py_VISIT(m->names[name]);
    Py_VISIT(m->open);
    return 0;
}

static int
clear(PyObject *module)
{
    Module *m = PyModule_GetState(module);

    for (int name = 0; name < NAMES; name++)
        Py_CLEAR(m->names[name]);
    Py_CLEAR(m->open);
    return 0;
}

static PyModuleDef_Slot SLOTS[] = {
    {Py_mod_exec, start},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT,
    .m_name = "wsframe._speedups",
    .m_doc = "The hot work of wsframe in C; see wsframe.speedups.",
    .m_size = sizeof(Module),
    .m_methods = METHODS,
    .m_slots = SLOTS,
    .m_traverse = traverse,
    .m_clear = clear,
};

PyMODINIT_FUNC
PyInit__speedups(void)
{
    return PyModuleDef_Init(&MODULE);
}
