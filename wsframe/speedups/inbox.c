/* Putting messages into a client's share of its mailbox: the work of Inbox, in C, for a share that is not used up; and
   the messages of bytes that somebody else has received. */

#include "speedups.h"

void
wsframe_release_share(struct share *share)
{
    Py_CLEAR(share->inbox);
    Py_CLEAR(share->budget);
}

/* Look up a client's share of its mailbox; return 1, or 0 if it has none, -1 with an exception set. */
int
wsframe_find_share(Module *m, PyObject *link, struct share *share)
{
    Py_ssize_t most;
    int muted;

    if ((share->inbox = get(m, link, INBOX)) == NULL || (share->budget = get(m, share->inbox, BUDGET)) == NULL ||
        (muted = is(m, share->inbox, MUTED, Py_True)) < 0 ||
        find_number(m, share->inbox, WAITING, &share->waiting) < 0 ||
        find_number(m, share->inbox, BYTE_COUNT, &share->byte_count) < 0 ||
        find_number(m, share->budget, BUDGET_HELD, &share->held) < 0 ||
        find_limit(m, share->inbox, MAX_MESSAGES, &most) < 0)
        return -1;
    share->room = most - share->waiting;
    return !muted;
}

/* Tell whether messages fit in without the share or the budget being used up: those are for Python. */
int
wsframe_fits(Module *m, const struct share *share, Py_ssize_t count, Py_ssize_t byte_count)
{
    Py_ssize_t most, limit;

    byte_count += count * MESSAGE_COST;
    if (find_limit(m, share->inbox, MAX_BYTES, &most) < 0 || find_limit(m, share->budget, LIMIT, &limit) < 0)
        return -1;
    return count < share->room && share->byte_count + byte_count < most && share->held + byte_count <= limit;
}

/* As Inbox.put(), with messages that weigh so many bytes. */
int
wsframe_put(Module *m, const struct share *share, PyObject *messages, Py_ssize_t byte_count)
{
    PyObject *entries = get(m, share->inbox, ENTRIES), *append = entries == NULL ? NULL : get(m, entries, APPEND), *done;
    Py_ssize_t count = PyList_GET_SIZE(messages), before = 0;
    int failed = append == NULL || (before = PyObject_Size(entries)) < 0;

    byte_count += count * MESSAGE_COST;
    for (Py_ssize_t at = 0; !failed && at < count; at++) {
        PyObject *entry = PyTuple_Pack(2, share->inbox, PyList_GET_ITEM(messages, at));
        done = entry == NULL ? NULL : PyObject_CallOneArg(append, entry);
        Py_XDECREF(entry);
        failed = done == NULL;
        Py_XDECREF(done);
    }
    if (!failed)
        failed = set_number(m, share->inbox, WAITING, share->waiting + count) < 0 ||
                 set_number(m, share->inbox, BYTE_COUNT, share->byte_count + byte_count) < 0 ||
                 set_number(m, share->budget, BUDGET_HELD, share->held + byte_count) < 0 ||
                 add(m, share->inbox, RECEIVED, count) < 0;
    if (!failed && before == 0) { /* else it has been rung already */
        PyObject *mailbox = get(m, share->inbox, MAILBOX);
        PyObject *doorbell = mailbox == NULL ? NULL : get(m, mailbox, DOORBELL);
        done = doorbell == NULL ? NULL : PyObject_CallMethodNoArgs(doorbell, m->names[RING]);
        failed = done == NULL;
        Py_XDECREF(done);
        Py_XDECREF(doorbell);
        Py_XDECREF(mailbox);
    }
    Py_XDECREF(append);
    Py_XDECREF(entries);
    return failed ? -1 : 0;
}

/* Put the messages into the inbox of which bytes consist; return as wsframe_take_whole() does. */
static int
put_whole(Module *m, PyObject *link, PyObject *connection, const unsigned char *data, Py_ssize_t size)
{
    struct share share = {NULL, NULL, 0, 0, 0, 0};
    Py_ssize_t at = 0, byte_count = 0, wanted, limit;
    PyObject *messages = NULL;
    int taken = find_number(m, connection, LANE_LIMIT, &limit) < 0 ? -1 : wsframe_find_share(m, link, &share);

    if (taken > 0 && (messages = PyList_New(0)) == NULL)
        taken = -1;
    if (taken > 0 && wsframe_read_lane(data, size, &at, share.room, (uint64_t)limit, 1, messages, &byte_count, &wanted) < 0)
        taken = -1;
    if (taken > 0)
        taken = at < size ? 0 : wsframe_fits(m, &share, PyList_GET_SIZE(messages), byte_count);
    if (taken < 0) {
        PyErr_Clear();
        taken = 0;
    }
    else if (taken > 0 && wsframe_put(m, &share, messages, byte_count) < 0)
        taken = -1;
    Py_XDECREF(messages);
    wsframe_release_share(&share);
    return taken;
}

/* Take bytes that are nothing but whole messages, for which there is room, of a link on which nothing special is going
   on; 0 to leave them to Python, which fails at them with a traceback if something is wrong here; -1 with an exception
   set when some may be in the mailbox. */
int
wsframe_take_whole(Module *m, PyObject *link, PyObject *connection, const unsigned char *data, Py_ssize_t size)
{
    PyObject *open = wsframe_find(&m->open, "wsframe.protocol.close", "State", "OPEN");
    int plain = open != NULL && is(m, connection, HELD, Py_None) == 1 && is(m, connection, ENGINE, Py_None) == 1 &&
                is(m, connection, STATE, open) == 1 && is(m, link, BUCKETS, Py_None) == 1;

    Py_XDECREF(open);
    PyErr_Clear();
    return plain ? put_whole(m, link, connection, data, size) : 0;
}

PyObject *
wsframe_take_received(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    Module *m = PyModule_GetState(module);
    PyObject *connection;
    Py_ssize_t size = nargs == 3 ? PyLong_AsSsize_t(args[2]) : -1;
    int collects, taken;

    if (PyErr_Occurred())
        return NULL;
    if (nargs != 3 || !PyByteArray_CheckExact(args[1]) || size < 0 || size > PyByteArray_GET_SIZE(args[1])) {
        PyErr_SetString(PyExc_TypeError, "take_received() takes a link, a bytearray and how many bytes of it there are");
        return NULL;
    }
    if ((connection = get(m, args[0], CONNECTION)) == NULL)
        return NULL;
    collects = PyGC_Disable(); /* as in wsframe_receive_ready() */
    taken = wsframe_take_whole(m, args[0], connection, (unsigned char *)PyByteArray_AS_STRING(args[1]), size);
    if (collects)
        PyGC_Enable();
    Py_DECREF(connection);
    return taken < 0 ? NULL : PyBool_FromLong(taken);
}

/* As Inbox.took_last(), of a client that is being read; -1 with an exception set. */
static int
took_last(Module *m, PyObject *inbox)
{
    PyObject *budget;
    Py_ssize_t byte_count;
    int reads = is(m, inbox, PAUSED, Py_False), failed;

    if (reads <= 0)
        return reads < 0 ? -1 : tell(m, inbox, TOOK_LAST);
    if (find_number(m, inbox, BYTE_COUNT, &byte_count) < 0 || (budget = get(m, inbox, BUDGET)) == NULL)
        return -1;
    failed = add(m, budget, BUDGET_HELD, -byte_count) < 0 || set_number(m, inbox, BYTE_COUNT, 0) < 0;
    Py_DECREF(budget);
    return failed ? -1 : 0;
}

PyObject *
wsframe_take(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    Module *m = PyModule_GetState(module);
    PyObject *inbox;
    Py_ssize_t waiting;
    int moves, muted;

    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "take() takes an inbox and a message");
        return NULL;
    }
    inbox = args[0];
    if ((moves = is(m, inbox, MOVE, Py_None)) < 0)
        return NULL;
    if (!moves) {
        PyObject *done = PyObject_CallMethodOneArg(inbox, m->names[DIVERT], args[1]);

        if (done == NULL)
            return NULL;
        Py_DECREF(done);
        Py_RETURN_NONE;
    }
    if (find_number(m, inbox, WAITING, &waiting) < 0 || set_number(m, inbox, WAITING, waiting - 1) < 0 ||
        (waiting == 1 && took_last(m, inbox) < 0) || (muted = is(m, inbox, MUTED, Py_True)) < 0)
        return NULL;
    if (muted)
        Py_RETURN_NONE;
    return get(m, inbox, CLIENT);
}
