/* Putting frames into outboxes, and sending from all that wait: Outbox.put() and Outbox.flush() in C, where
   one call takes all and nothing hinges on it. All others are left to Python. */

#include "speedups.h"

/* Tell whether a frame certainly has room behind others; -1 with an exception set. */
static int
has_room(Module *m, PyObject *outbox, Py_ssize_t count, Py_ssize_t byte_count)
{
    Py_ssize_t few, small;

    if (find_limit(m, outbox, FEW, &few) < 0 || find_limit(m, outbox, SMALL, &small) < 0)
        return -1;
    return count <= few && byte_count <= small;
}

/* Tell whether the running task flushes before it waits, in trio's thread: then the first outbox of a turn has only to be
   listed, as in Flusher.mark(). -1 with an exception set. */
static int
is_in_turn(Module *m, PyObject *outbox)
{
    PyObject *flusher = get(m, outbox, FLUSHER), *thread;
    int result = flusher == NULL ? -1 : is(m, flusher, IN_TURN, Py_True);

    if (result > 0) {
        thread = get(m, flusher, THREAD);
        result = thread == NULL ? -1 : PyLong_AsUnsignedLong(thread) == PyThread_get_thread_ident() && !PyErr_Occurred();
        Py_XDECREF(thread);
    }
    Py_XDECREF(flusher);
    return result;
}

/* Put a frame into an outbox that is open, far from its limit and not blocked, and mark that behind others; 0 if that
   is for Python, -1 with an exception set. */
static int
put_small(Module *m, PyObject *outbox, PyObject *frame, PyObject *items)
{
    Py_ssize_t byte_count, count = PyList_GET_SIZE(items);
    int done = find_number(m, outbox, OUTBOX_BYTE_COUNT, &byte_count) < 0 ? -1 : 1;

    if (done < 0)
        return -1;
    byte_count += PyBytes_GET_SIZE(frame);
    if (count > 0)
        done = has_room(m, outbox, count, byte_count);
    else {
        PyObject *dirty = get(m, outbox, DIRTY);

        if (dirty == NULL)
            return -1;
        done = PyList_CheckExact(dirty) && (PyList_GET_SIZE(dirty) > 0 ? 1 : is_in_turn(m, outbox));
        if (done > 0 && PyList_Append(dirty, outbox) < 0)
            done = -1;
        Py_DECREF(dirty);
    }
    if (done > 0 && (PyList_Append(items, frame) < 0 || set_number(m, outbox, OUTBOX_BYTE_COUNT, byte_count) < 0 ||
                     add(m, outbox, MESSAGES_SENT, 1) < 0))
        done = -1;
    return done;
}

PyObject *
wsframe_put_frame(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    Module *m = PyModule_GetState(module);
    PyObject *items;
    int done = 0;

    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "put_frame() takes an outbox and a frame");
        return NULL;
    }
    if (PyBytes_CheckExact(args[1]) && is(m, args[0], SHUT, Py_False) == 1 && is(m, args[0], BLOCKED, Py_False) == 1 &&
        is(m, args[0], LATEST, Py_None) == 1) {
        if ((items = get(m, args[0], ITEMS)) != NULL && PyList_CheckExact(items))
            done = put_small(m, args[0], args[1], items);
        Py_XDECREF(items);
    }
    if (done < 0 || PyErr_Occurred())
        return NULL;
    if (done)
        Py_RETURN_TRUE;
    return PyObject_CallMethodOneArg(args[0], m->names[PUT], args[1]);
}

#ifndef _WIN32

#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifndef MSG_NOSIGNAL /* macOS; Python ignores the signal anyway */
#define MSG_NOSIGNAL 0
#endif

/* Frames that are joined on the stack before they are sent. */
#define JOINED (16 * 1024)

/* Send a LargeFrame: its header, and its payload from where that is. */
static Py_ssize_t
send_large(Module *m, int fd, PyObject *frame)
{
    PyObject *header = get(m, frame, HEADER), *payload = header == NULL ? NULL : get(m, frame, PAYLOAD);
    Py_ssize_t sent = -1;

    if (payload != NULL && PyBytes_CheckExact(header) && PyBytes_CheckExact(payload)) {
        struct iovec parts[2] = {
            {PyBytes_AS_STRING(header), (size_t)PyBytes_GET_SIZE(header)},
            {PyBytes_AS_STRING(payload), (size_t)PyBytes_GET_SIZE(payload)},
        };
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    }
    PyErr_Clear(); /* Python looks at its kind */
    Py_XDECREF(payload);
    Py_XDECREF(header);
    return sent;
}

/* Hand the frames of an outbox to the kernel in one call; return the bytes it took, -1 if that is for Python to do. */
static Py_ssize_t
send_items(Module *m, int fd, PyObject *items, Py_ssize_t byte_count)
{
    Py_ssize_t count = PyList_GET_SIZE(items), size = 0;
    char joined[JOINED];
    PyObject *item = PyList_GET_ITEM(items, 0);

    if (m->large_frame != NULL && (PyObject *)Py_TYPE(item) == m->large_frame)
        return count == 1 ? send_large(m, fd, item) : -1;
    if (!PyBytes_CheckExact(item))
        return -1;
    if (count == 1)
        return send(fd, PyBytes_AS_STRING(item), (size_t)PyBytes_GET_SIZE(item), MSG_NOSIGNAL);
    if (byte_count > JOINED)
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

/* Note the bytes that the kernel took of an outbox; that is all of it, and nothing hinges on that. */
static int
clear_items(Module *m, PyObject *outbox, PyObject *items, Py_ssize_t byte_count)
{
    if (PyList_SetSlice(items, 0, PyList_GET_SIZE(items), NULL) < 0 || set_number(m, outbox, OUTBOX_BYTE_COUNT, 0) < 0)
        return -1;
    return add(m, outbox, BYTES_SENT, byte_count);
}

/* Have Python go on with an outbox of which something was sent. It must be now: an outbox may be
   listed twice, and its bytes would be sent again. */
static int
go_on(Module *m, PyObject *outbox, Py_ssize_t sent)
{
    PyObject *count = PyLong_FromSsize_t(sent);
    PyObject *done = count == NULL ? NULL : PyObject_CallMethodOneArg(outbox, m->names[FLUSH], count);

    Py_XDECREF(done);
    Py_XDECREF(count);
    return done == NULL ? -1 : 0;
}

/* Tell whether an outbox needs nothing but that its items are sent. */
static int
is_plain(Module *m, PyObject *outbox)
{
    return is(m, outbox, BLOCKED, Py_False) == 1 && is(m, outbox, SHUT, Py_False) == 1 &&
           is(m, outbox, DRAINED, Py_None) == 1 && is(m, outbox, LATEST, Py_None) == 1 &&
           number(m, outbox, OFFSET) == 0;
}

/* Send all that waits in an outbox; return 1 when that is done, 0 if it is for Python to do, -1 with an exception set. */
static int
send_outbox(Module *m, PyObject *outbox)
{
    Py_ssize_t fd, byte_count, sent;
    PyObject *items;
    int done = 0;

    if (find_number(m, outbox, OUTBOX_RAW_FD, &fd) < 0 || find_number(m, outbox, OUTBOX_BYTE_COUNT, &byte_count) < 0)
        return -1;
    if (fd < 0 || !is_plain(m, outbox))
        return PyErr_Occurred() ? -1 : 0;
    if ((items = get(m, outbox, ITEMS)) == NULL)
        return -1;
    if (PyList_CheckExact(items) && PyList_GET_SIZE(items) == 0)
        done = 1;
    else if (PyList_CheckExact(items) && (sent = send_items(m, (int)fd, items, byte_count)) >= 0)
        done = (sent == byte_count ? clear_items(m, outbox, items, byte_count) : go_on(m, outbox, sent)) < 0 ? -1 : 1;
    Py_DECREF(items);
    return done;
}

/* Have a connection given up to which sending failed here; no other is concerned. */
static int
fail(Module *m, PyObject *outbox)
{
    PyObject *error = wsframe_caught(), *failed = NULL, *done = NULL;

    if (error != NULL && (failed = wsframe_find(&m->flush_failed, "wsframe.connection.flusher", "flush_failed", NULL)) != NULL)
        done = PyObject_CallFunctionObjArgs(failed, outbox, error, NULL);
    Py_XDECREF(failed);
    Py_XDECREF(error);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

PyObject *
wsframe_send_whole(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
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
        PyObject *outbox = Py_NewRef(PyList_GET_ITEM(args[0], at));
        int done = send_outbox(m, outbox);

        if (done < 0 ? fail(m, outbox) < 0 : done == 0 && PyList_Append(rest, outbox) < 0)
            Py_CLEAR(rest);
        Py_DECREF(outbox);
        if (rest == NULL)
            break;
    }
    return rest;
}

#endif
