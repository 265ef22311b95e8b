/* wsframe.speedups.native: the hot work of wsframe in C; see wsframe/speedups/__init__.py.

   Each function does the same as the function of its name in Python, where it is described. */

#include "speedups.h"

static const char *const SPELLING[NAMES] = {
    "append", "blocked", "buckets", "budget", "client", "connection", "crashed", "deadlines", "_dirty", "divert", "doorbell", "drained",
    "_engine", "entries", "_few", "flush", "_flusher", "header", "heard_at", "held", "_held", "in_turn", "inbox", "items", "_lane_limit", "_latest", "limit",
    "lost", "mailbox", "max_messages", "max_bytes", "messages_sent", "move", "muted", "note_undecoded", "byte_count", "byte_count", "bytes_received",
    "bytes_sent", "_offset", "paused", "payload", "_payload", "put", "raw_fd", "raw_fd", "received", "ring", "shut", "_small", "state", "thread", "took_last",
    "undecoded", "waiting", "_wanted",
};

PyObject *
wsframe_look_up(Module *m, PyObject *of, enum name name)
{
    PyTypeObject *type = Py_TYPE(of);
    PyObject *value = PyObject_GetAttr(of, m->names[name]), *found;

    if (value == NULL || type->tp_getattro != PyObject_GenericGetAttr || type->tp_setattro != PyObject_GenericSetAttr)
        return value;
    found = PyObject_GetAttr((PyObject *)type, m->names[name]); /* of a slot: its descriptor */
    if (found == NULL)
        PyErr_Clear();
    else if (Py_IS_TYPE(found, &PyMemberDescr_Type)) {
        const PyMemberDef *member = ((PyMemberDescrObject *)found)->d_member;

        if (member->type == T_OBJECT_EX && member->flags == 0)
            m->slots[name] = (struct slot){type->tp_version_tag, member->offset};
    }
    Py_XDECREF(found);
    return value;
}

PyObject *
wsframe_find(PyObject **kept, const char *module, const char *name, const char *member)
{
    PyObject *from, *found;

    if (*kept == NULL && (from = PyImport_ImportModule(module)) != NULL) {
        found = PyObject_GetAttrString(from, name);
        *kept = found == NULL || member == NULL ? Py_XNewRef(found) : PyObject_GetAttrString(found, member);
        Py_XDECREF(found);
        Py_DECREF(from);
    }
    Py_XINCREF(*kept);
    return *kept;
}

PyObject *
wsframe_caught(void)
{
    PyObject *error;

    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return NULL;
#if PY_VERSION_HEX >= 0x030C0000
    error = PyErr_GetRaisedException();
#else
    PyObject *type, *traceback;

    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(error, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
#endif
    return error;
}

#define FUNCTION(name) {#name, (PyCFunction)(void (*)(void))wsframe_##name, METH_FASTCALL, NULL}

static PyMethodDef METHODS[] = {
    FUNCTION(unmask),
    FUNCTION(data_frame),
    FUNCTION(read_messages),
    FUNCTION(skip_frames),
    FUNCTION(take),
    FUNCTION(take_received),
    FUNCTION(gather_fragments),
    FUNCTION(put_frame),
#ifndef _WIN32
    FUNCTION(receive_ready),
    FUNCTION(send_whole),
#endif
    {NULL, NULL, 0, NULL},
};

static int
start(PyObject *module)
{
    Module *m = PyModule_GetState(module);
    PyObject *names = PyTuple_New(NAMES);
    int failed = names == NULL;

    for (int name = 0; name < NAMES && !failed; name++)
        if ((m->names[name] = PyUnicode_InternFromString(SPELLING[name])) == NULL)
            failed = 1;
        else
            PyTuple_SET_ITEM(names, name, Py_NewRef(m->names[name]));
    /* Python checks at import that its classes have them all. */
    failed = failed || PyModule_AddObjectRef(module, "ATTRIBUTES", names) < 0;
    Py_XDECREF(names);
    return failed ? -1 : 0;
}

static int
traverse(PyObject *module, visitproc visit, void *arg)
{
    Module *m = PyModule_GetState(module);

    for (int name = 0; name < NAMES; name++)
        Py_VISIT(m->names[name]);
    Py_VISIT(m->open);
    Py_VISIT(m->large_frame);
    Py_VISIT(m->flush_failed);
    return 0;
}

static int
clear(PyObject *module)
{
    Module *m = PyModule_GetState(module);

    for (int name = 0; name < NAMES; name++)
        Py_CLEAR(m->names[name]);
    Py_CLEAR(m->open);
    Py_CLEAR(m->large_frame);
    Py_CLEAR(m->flush_failed);
    return 0;
}

static void
release(void *module)
{
    clear(module);
}

static PyModuleDef_Slot SLOTS[] = {
    {Py_mod_exec, start},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    /* Objects borrowed from lists and dicts, and bytes that are written to, are safe under the GIL alone. */
    {Py_mod_gil, Py_MOD_GIL_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT,
    .m_name = "wsframe.speedups.native",
    .m_doc = "The hot work of wsframe in C; see wsframe.speedups.",
    .m_size = sizeof(Module),
    .m_methods = METHODS,
    .m_slots = SLOTS,
    .m_traverse = traverse,
    .m_clear = clear,
    .m_free = release,
};

PyMODINIT_FUNC
PyInit_native(void)
{
    return PyModuleDef_Init(&MODULE);
}
