/* Shared by the parts of wsframe.speedups.native. */

#ifndef WSFRAME_SPEEDUPS_H
#define WSFRAME_SPEEDUPS_H

/* Peer input is read here: have the compiler look after it as far as it can. Its own choice, if it has one, stays; the rest of
   the hardening is in setup.py. */
#if defined(__GNUC__) && defined(__OPTIMIZE__) && !defined(_FORTIFY_SOURCE) && !defined(__SANITIZE_ADDRESS__)
#define _FORTIFY_SOURCE 2
#endif

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <structmember.h>

#if defined(PYPY_VERSION) || defined(GRAALVM_PYTHON)
#error "for CPython, whose objects are looked into; others run the same in Python"
#endif

/* Attributes of the objects that are looked into. */
enum name {
    APPEND, BLOCKED, BUCKETS, BUDGET, CLIENT, CONNECTION, CRASHED, DEADLINES, DIRTY, DIVERT, DOORBELL, DRAINED, ENGINE, ENTRIES,
    FEW, FLUSH, FLUSHER, HEADER, HEARD_AT, BUDGET_HELD, HELD, IN_TURN, INBOX, ITEMS, LANE_LIMIT, LATEST, LIMIT, LOST, MAILBOX, MAX_MESSAGES,
    MAX_BYTES, MESSAGES_SENT, MOVE, MUTED, NOTE_UNDECODED, BYTE_COUNT, OUTBOX_BYTE_COUNT, BYTES_RECEIVED, BYTES_SENT, OFFSET, PAUSED, PAYLOAD,
    GATHERED, PUT, RAW_FD, OUTBOX_RAW_FD, RECEIVED, RING, SHUT, SMALL, STATE, THREAD, TOOK_LAST, UNDECODED, WAITING, WANTED, NAMES
};

/* Where an attribute was found that is a slot. A version belongs to one state of one class: it changes with the class.
   Where two classes have an attribute of one name, each has an entry of its own above, or they would take turns. */
struct slot {
    unsigned int version;
    Py_ssize_t offset;
};

typedef struct {
    PyObject *names[NAMES];
    struct slot slots[NAMES];
    /* Once they are needed: */
    PyObject *open;         /* State.OPEN */
    PyObject *large_frame;  /* the class */
    PyObject *flush_failed; /* the function */
} Module;

/* Return the object that Python has under a name, or a member of that, and keep it; a new reference, NULL with an exception set. */
PyObject *wsframe_find(PyObject **kept, const char *module, const char *name, const char *member);

/* Read an attribute that is not where it was last time, and note where it is. */
PyObject *wsframe_look_up(Module *m, PyObject *of, enum name name);

/* Return where the value of an attribute is kept, if that is known of this class; NULL if not. */
static inline PyObject **
kept_at(Module *m, PyObject *of, enum name name)
{
    const struct slot *slot = &m->slots[name];

    return slot->version && slot->version == Py_TYPE(of)->tp_version_tag ? (PyObject **)((char *)of + slot->offset) : NULL;
}

static inline PyObject *
get(Module *m, PyObject *of, enum name name)
{
    PyObject **at = kept_at(m, of, name);

    return at != NULL && *at != NULL ? Py_NewRef(*at) : wsframe_look_up(m, of, name);
}

/* Write an attribute; -1 with an exception set. */
static inline int
put(Module *m, PyObject *of, enum name name, PyObject *value)
{
    PyObject **at = kept_at(m, of, name), *former;

    if (at == NULL)
        return PyObject_SetAttr(of, m->names[name], value);
    former = *at;
    *at = Py_NewRef(value);
    Py_XDECREF(former);
    return 0;
}

/* Tell whether an attribute is the very object; -1 with an exception set. */
static inline int
is(Module *m, PyObject *of, enum name name, PyObject *wanted)
{
    PyObject *value = get(m, of, name);
    int result = value == NULL ? -1 : value == wanted;

    Py_XDECREF(value);
    return result;
}

/* Read an attribute that is an int; -1 with an exception set is told apart by PyErr_Occurred(). */
static inline Py_ssize_t
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

/* Read one; -1 with an exception set. */
static inline int
find_number(Module *m, PyObject *of, enum name name, Py_ssize_t *to)
{
    *to = number(m, of, name);
    return *to == -1 && PyErr_Occurred() ? -1 : 0;
}

/* Read one that is a limit; one beyond all sizes is the largest of them. */
static inline int
find_limit(Module *m, PyObject *of, enum name name, Py_ssize_t *to)
{
    PyObject *value = get(m, of, name);

    *to = value == NULL ? -1 : PyNumber_AsSsize_t(value, NULL);
    Py_XDECREF(value);
    return *to == -1 && PyErr_Occurred() ? -1 : 0;
}

/* The only digit of a positive int that has one, and how to tell such an int. */
#if PY_VERSION_HEX >= 0x030C0000
#define DIGIT(value) (((PyLongObject *)(value))->long_value.ob_digit[0])
#define HAS_ONE_DIGIT(value) (((PyLongObject *)(value))->long_value.lv_tag == 1 << 3)
#else
#define DIGIT(value) (((PyLongObject *)(value))->ob_digit[0])
#define HAS_ONE_DIGIT(value) (Py_SIZE(value) == 1)
#endif
#define LARGEST_SHARED 256 /* smaller ints are objects of the interpreter's */

/* Write a number into the int that an attribute has, if nobody else has that int: a new one for each message would cost
   more than all else that counting does. Return whether it was done. */
static inline int
renumber(PyObject **at, Py_ssize_t number)
{
    if (at == NULL || *at == NULL || !PyLong_CheckExact(*at) || Py_REFCNT(*at) != 1 || !HAS_ONE_DIGIT(*at) ||
        number <= LARGEST_SHARED || number > PyLong_MASK)
        return 0;
    DIGIT(*at) = (digit)number;
    return 1;
}

/* Write an attribute that is an int; -1 with an exception set. */
static inline int
set_number(Module *m, PyObject *of, enum name name, Py_ssize_t number)
{
    PyObject *value;
    int failed;

    if (renumber(kept_at(m, of, name), number))
        return 0;
    value = PyLong_FromSsize_t(number);
    failed = value == NULL || put(m, of, name, value) < 0;

    Py_XDECREF(value);
    return failed ? -1 : 0;
}

/* Add to an attribute that is an int; -1 with an exception set. */
static inline int
add(Module *m, PyObject *of, enum name name, Py_ssize_t more)
{
    PyObject **at = kept_at(m, of, name), *former = at == NULL ? NULL : *at, *value;
    Py_ssize_t before;

    if (former != NULL && PyLong_CheckExact(former) && HAS_ONE_DIGIT(former)) {
        before = (Py_ssize_t)DIGIT(former);
        if (renumber(at, before + more))
            return 0;
        if ((value = PyLong_FromSsize_t(before + more)) == NULL)
            return -1;
        *at = value;
        Py_DECREF(former);
        return 0;
    }
    return find_number(m, of, name, &before) < 0 ? -1 : set_number(m, of, name, before + more);
}

/* Call a method without arguments for its effect. */
static inline int
tell(Module *m, PyObject *object, enum name name)
{
    PyObject *done = PyObject_CallMethodNoArgs(object, m->names[name]);

    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* Take the exception that is set, to hand it to code that reports it; a new reference. NULL with it still set if
   it is not one of ours, KeyboardInterrupt for one: that goes on to our caller. */
PyObject *wsframe_caught(void);

/* The cost of a message beside its bytes while it waits for a hook: as in memory_budget.py. */
#define MESSAGE_COST 144

/* Where a message begins and ends, counted from the beginning of its frame. */
struct extent {
    Py_ssize_t start, length;
};

enum found { WHOLE, PARTIAL, NOT_FOR_THE_LANE };

enum found wsframe_measure(const unsigned char *data, Py_ssize_t size, uint64_t limit, int masked,
                           struct extent *extent);
unsigned char wsframe_copy_unmasked(unsigned char *to, const unsigned char *from, Py_ssize_t size,
                                    const unsigned char *mask);
int wsframe_read_lane(const unsigned char *data, Py_ssize_t size, Py_ssize_t *at, Py_ssize_t room, uint64_t limit,
                      int masked, PyObject *messages, Py_ssize_t *byte_count, Py_ssize_t *wanted);

/* The parts of an inbox that are needed to put messages into it. */
struct share {
    PyObject *inbox, *budget;
    Py_ssize_t waiting, byte_count, held, room;
};

void wsframe_release_share(struct share *share);
int wsframe_find_share(Module *m, PyObject *link, struct share *share);
int wsframe_fits(Module *m, const struct share *share, Py_ssize_t count, Py_ssize_t byte_count);
int wsframe_put(Module *m, const struct share *share, PyObject *messages, Py_ssize_t byte_count);
int wsframe_take_whole(Module *m, PyObject *link, PyObject *connection, const unsigned char *data, Py_ssize_t size);

/* The functions that Python calls. */
typedef PyObject *function(PyObject *module, PyObject *const *args, Py_ssize_t nargs);
function wsframe_unmask, wsframe_data_frame, wsframe_read_messages, wsframe_skip_frames, wsframe_take, wsframe_put_frame,
    wsframe_gather_fragments, wsframe_take_received;
#ifndef _WIN32 /* where sockets are no descriptors */
function wsframe_receive_ready, wsframe_send_whole;
#endif

#endif
