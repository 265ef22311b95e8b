/* Receiving from all sockets that are ready: the work of the reactor, Link.read() and Inbox.put(), in C,
   for links on which nothing special is going on. All others are left to Python. */

#include "speedups.h"

#ifndef _WIN32

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Have a link given up on which something failed here, out of memory for one; no other is concerned. */
static int
fail(Module *m, PyObject *link)
{
    PyObject *error = wsframe_caught();
    PyObject *done = error == NULL ? NULL : PyObject_CallMethodOneArg(link, m->names[CRASHED], error);

    Py_XDECREF(error);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* One link that is ready to be read. */
struct ready {
    Module *m;
    PyObject *link, *connection, *buffer, *now;
    int fd;
};

/* Bytes that one read brings at most to a message that has begun: each read costs a turn of the reactor. */
#define LARGE_READ (256 * 1024)

/* Note when the peer was heard, if it was: return 1 if bytes came, else the result for receive_link(). */
static int
note_received(const struct ready *r, Py_ssize_t count, int *done)
{
    PyObject *deadlines;
    int failed;

    if (count == 0) {
        *done = 0; /* Python reads again: an end shows again, an error does not */
        return 0;
    }
    if (count < 0) {
        *done = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || tell(r->m, r->link, LOST) == 0 ? 1 : -1;
        return 0;
    }
    deadlines = get(r->m, r->connection, DEADLINES);
    failed = deadlines == NULL || put(r->m, deadlines, HEARD_AT, r->now) < 0 ||
             add(r->m, r->link, BYTES_RECEIVED, count) < 0;
    Py_XDECREF(deadlines);
    *done = failed ? -1 : 0;
    return !failed;
}

/* Take over the part held of the payload of a binary message, as bytes that nobody else knows. */
static PyObject *
gathered(const struct ready *r, PyObject *held, Py_ssize_t start)
{
    PyObject *payload = get(r->m, r->connection, GATHERED);

    if (payload == Py_None) {
        Py_ssize_t size = PyByteArray_GET_SIZE(held) - start;

        Py_DECREF(payload);
        payload = PyBytes_FromStringAndSize(NULL, size); /* not from the bytes: those of length 1 are shared */
        if (payload != NULL)
            memcpy(PyBytes_AS_STRING(payload), PyByteArray_AS_STRING(held) + start, (size_t)size);
        if (payload != NULL && PyByteArray_Resize(held, start) < 0)
            Py_CLEAR(payload);
    }
    else if (payload != NULL && put(r->m, r->connection, GATHERED, Py_None) < 0)
        Py_CLEAR(payload);
    /* The empty one is shared by all, and resizing replaces it. */
    if (payload != NULL &&
        (!PyBytes_CheckExact(payload) || (PyBytes_GET_SIZE(payload) > 0 && Py_REFCNT(payload) != 1))) {
        PyErr_SetString(PyExc_SystemError, "somebody else has the payload");
        Py_CLEAR(payload);
    }
    return payload;
}

/* Hand on a message that is whole now; return 0 to leave it to Python, with everything as it was. */
static int
finish(const struct ready *r, PyObject *held, PyObject *payload, Py_ssize_t start)
{
    Module *m = r->m;
    struct share share = {NULL, NULL, 0, 0, 0, 0};
    Py_ssize_t size = PyBytes_GET_SIZE(payload);
    unsigned char *bytes = (unsigned char *)PyBytes_AS_STRING(payload);
    PyObject *messages = NULL;
    int done = wsframe_find_share(m, r->link, &share);

    if (done > 0)
        done = wsframe_fits(m, &share, 1, size);
    if (done > 0 && (messages = PyList_New(1)) == NULL)
        done = -1;
    if (done < 0) {
        PyErr_Clear();
        done = 0;
    }
    if (done > 0) {
        wsframe_copy_unmasked(bytes, bytes, size, (unsigned char *)PyByteArray_AS_STRING(held) + start - 4);
        Py_INCREF(payload);
        PyList_SET_ITEM(messages, 0, payload);
        if (put(m, r->connection, HELD, Py_None) < 0 ||
            set_number(m, r->connection, WANTED, 0) < 0 || wsframe_put(m, &share, messages, size) < 0)
            done = -1;
    }
    Py_XDECREF(messages);
    wsframe_release_share(&share);
    return done;
}

/* Read behind the part that is here of a payload; return as recv() does, -2 with an exception set. */
static Py_ssize_t
receive_behind(int fd, PyObject **payload, Py_ssize_t length)
{
    Py_ssize_t have = PyBytes_GET_SIZE(*payload), count;
    Py_ssize_t more = have > LARGE_READ ? have : LARGE_READ; /* never far ahead of the bytes that have come */

    if (more > length - have)
        more = length - have;
    if (more < 0) { /* as a size it would be the largest there is */
        PyErr_SetString(PyExc_SystemError, "more of a message is held than it has");
        return -2;
    }
    if (_PyBytes_Resize(payload, have + more) < 0)
        return -2;
    count = recv(fd, PyBytes_AS_STRING(*payload) + have, (size_t)(more < LARGE_READ ? more : LARGE_READ), 0);
    have += count > 0 ? count : 0;
    Py_SET_SIZE(*payload, have); /* the room behind stays for the next read, which asks for it again */
    PyBytes_AS_STRING(*payload)[have] = 0;
    return count;
}

/* Read more of a binary message right into the bytes that will be the message. Returns as receive_link() does. */
static int
gather(const struct ready *r, PyObject *held, const struct extent *extent, PyObject **rest)
{
    PyObject *payload = gathered(r, held, extent->start);
    Py_ssize_t count = payload == NULL ? -2 : receive_behind(r->fd, &payload, extent->length);
    int error = errno, done = -1, whole;

    if (count == -2)
        return -1;
    whole = PyBytes_GET_SIZE(payload) == extent->length;
    if ((!whole || count <= 0) && put(r->m, r->connection, GATHERED, payload) < 0)
        goto out;
    errno = error;
    if (!note_received(r, count, &done))
        goto out;
    done = whole ? finish(r, held, payload, extent->start) : 1;
    if (done == 0 && ((*rest = PyByteArray_FromStringAndSize(NULL, 0)) == NULL ||
                      put(r->m, r->connection, GATHERED, payload) < 0))
        done = -1;
    if (done == 1 && (set_number(r->m, r->connection, UNDECODED,
                                 whole ? 0 : extent->start + PyBytes_GET_SIZE(payload)) < 0 ||
                      tell(r->m, r->link, NOTE_UNDECODED) < 0))
        done = -1;
out:
    Py_DECREF(payload);
    return done;
}

/* Read more of a text that has begun, right behind the part held: Python looks at all of it. */
static int
receive_more(const struct ready *r, PyObject *held, Py_ssize_t wanted, PyObject **rest)
{
    Py_ssize_t have = PyByteArray_GET_SIZE(held), more = wanted - have, count;
    int error, done;

    if (more < 0) { /* as above */
        PyErr_SetString(PyExc_SystemError, "more of a message is held than it has");
        return -1;
    }
    if (more > LARGE_READ)
        more = LARGE_READ;
    if (PyByteArray_Resize(held, have + more) < 0)
        return -1;
    count = recv(r->fd, PyByteArray_AS_STRING(held) + have, (size_t)more, 0);
    error = errno;
    if (PyByteArray_Resize(held, have + (count > 0 ? count : 0)) < 0)
        return -1;
    errno = error;
    if (note_received(r, count, &done) && (*rest = PyByteArray_FromStringAndSize(NULL, 0)) == NULL)
        done = -1;
    return done;
}

/* Read bytes that may be many messages, and take them if nothing but whole messages came. */
static int
receive_messages(const struct ready *r, PyObject **rest)
{
    Module *m = r->m;
    char *data = PyByteArray_AS_STRING(r->buffer);
    Py_ssize_t count = recv(r->fd, data, (size_t)PyByteArray_GET_SIZE(r->buffer), 0);
    int done;

    if (!note_received(r, count, &done))
        return done;
    done = wsframe_take_whole(m, r->link, r->connection, (unsigned char *)data, count);
    if (!done && (*rest = PyByteArray_FromStringAndSize(data, count)) == NULL)
        return -1;
    return done;
}

/* Tell whether more is missing of a message that is not whole than one read of all there is brings.
   A message that is gathered is gathered to its end. -1 with an exception set. */
static int
is_large(const struct ready *r, PyObject *held, Py_ssize_t wanted)
{
    int gathers = is(r->m, r->connection, GATHERED, Py_None);

    return gathers < 0 ? -1 : !gathers || wanted - PyByteArray_GET_SIZE(held) > PyByteArray_GET_SIZE(r->buffer);
}

/* Receive once from a link that has a socket, and take the bytes that come if that is simple.

   Returns 1 when that is done, 0 to leave it to Python: with the bytes received in *rest, or
   NULL there if nothing was; -1 with an exception set, after which the link is of no more use. */
static int
receive_link(const struct ready *r, PyObject **rest)
{
    PyObject *held = get(r->m, r->connection, HELD);
    Py_ssize_t wanted = 0;
    struct extent extent;
    int done = held == NULL || find_number(r->m, r->connection, WANTED, &wanted) < 0 ? -1 : 1, large = 0, rated = 0;

    if (done > 0 && wanted && PyByteArray_CheckExact(held) && (large = is_large(r, held, wanted)) > 0)
        rated = !is(r->m, r->link, BUCKETS, Py_None);
    if (done < 0 || large < 0 || PyErr_Occurred())
        done = -1;
    else if (!large)
        done = receive_messages(r, rest);
    else if (rated)
        done = 0;
    else if (PyByteArray_AS_STRING(held)[0] & 1)
        done = receive_more(r, held, wanted, rest);
    else if (wsframe_measure((unsigned char *)PyByteArray_AS_STRING(held), PyByteArray_GET_SIZE(held), UINT64_MAX, 1,
                             &extent) == NOT_FOR_THE_LANE)
        done = 0;
    else
        done = gather(r, held, &extent, rest);
    Py_XDECREF(held);
    return done;
}

/* Receive from one link that is ready; add it to `rest` if there is something for Python to do. -1 with an
   exception set that is not for the link alone. */
static int
turn(struct ready *r, PyObject *flags, PyObject *rest)
{
    Py_ssize_t fd = number(r->m, r->link, RAW_FD);
    PyObject *received = NULL, *entry;
    int done = 0;

    if (fd >= 0 && PyLong_AsLong(flags) == 1) { /* nothing but READ */
        r->fd = (int)fd;
        r->connection = get(r->m, r->link, CONNECTION);
        done = r->connection == NULL ? -1 : receive_link(r, &received);
        Py_XDECREF(r->connection);
    }
    if (done == 0 && !PyErr_Occurred()) {
        entry = PyTuple_Pack(3, r->link, flags, received == NULL ? Py_None : received);
        if (entry != NULL)
            PyList_Append(rest, entry);
        Py_XDECREF(entry);
    }
    Py_XDECREF(received);
    return PyErr_Occurred() ? fail(r->m, r->link) : 0;
}

/* Receive from all of a list of pairs, which the poller made. */
static int
turn_all(struct ready *r, PyObject *pairs, PyObject *links, PyObject *rest)
{
    for (Py_ssize_t at = 0; at < PyList_GET_SIZE(pairs); at++) {
        PyObject *pair = PyList_GET_ITEM(pairs, at);
        int failed;

        if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2) {
            PyErr_SetString(PyExc_TypeError, "ready is a list of pairs");
            return -1;
        }
        r->link = PyDict_GetItemWithError(links, PyTuple_GET_ITEM(pair, 0));
        if (r->link == NULL) {
            if (PyErr_Occurred())
                return -1;
            continue;
        }
        Py_INCREF(pair);
        Py_INCREF(r->link); /* it may end, and leave the dict, while it is looked at */
        failed = turn(r, PyTuple_GET_ITEM(pair, 1), rest);
        Py_DECREF(r->link);
        Py_DECREF(pair);
        if (failed < 0)
            return -1;
    }
    return 0;
}

PyObject *
wsframe_receive_ready(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    struct ready ready = {.m = PyModule_GetState(module)};
    PyObject *rest, *open;
    int collects;

    if (nargs != 4 || !PyList_CheckExact(args[0]) || !PyDict_CheckExact(args[1]) || !PyByteArray_CheckExact(args[2])) {
        PyErr_SetString(PyExc_TypeError, "receive_ready() takes a list, a dict, a bytearray and a time");
        return NULL;
    }
    if ((open = wsframe_find(&ready.m->open, "wsframe.protocol.close", "State", "OPEN")) == NULL)
        return NULL;
    Py_DECREF(open);
    if ((rest = PyList_New(0)) == NULL)
        return NULL;
    ready.buffer = args[2];
    ready.now = args[3];
    /* Before 3.12 an allocation here may have garbage collected, whose finalizers may do anything: end the
       link whose messages are being put into its inbox, for one. */
    collects = PyGC_Disable();
    if (turn_all(&ready, args[0], args[1], rest) < 0)
        Py_CLEAR(rest);
    if (collects)
        PyGC_Enable();
    return rest;
}

#endif
