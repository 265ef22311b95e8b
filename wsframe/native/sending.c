/* Sending from all outboxes that wait: what Outbox.flush() does, in C, where one call takes all and
   nothing hinges on it. All others are left to Python. */

#include "speedups.h"

#ifndef _WIN32

#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

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
    PyErr_Clear(); /* what it is then is for Python */
    Py_XDECREF(payload);
    Py_XDECREF(header);
    return sent;
}

/* Hand what waits in an outbox to the kernel in one call; return what it took, -1 if that is for Python to do. */
static Py_ssize_t
send_items(Module *m, int fd, PyObject *items, Py_ssize_t octets)
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
    sent = send_items(m, (int)fd, items, octets);
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
