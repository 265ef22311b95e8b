"""The WebSocket protocol with no I/O: bytes and times in; messages, bytes and deadlines out.

Frames that keep to the rules and the limits have lanes of their own, for speed: whole messages and
control frames, fragments, compressed messages that are one frame. wsproto decodes all others, so it is the
judge of everything unusual. wsframe itself makes all frames it sends.

Read in this order: ``frames`` (bytes on the wire), ``close`` (codes and states), ``payload`` (the
bytes of an outgoing message), ``events`` (the results of decoding), ``decoder`` with its lanes,
``fast_lane``, ``fragment_lane``, ``deflate_lane`` and ``slow_lane`` (wsproto, and the names of broken rules),
``close_seeker`` (the end after ours), ``size_limits`` and ``rate_limit`` (one peer), ``deadlines`` (its timeouts),
``closing`` (how it ends), ``pool`` (all peers of a server). ``encoder`` says how sending can differ;
``deflate`` is compression, ``masking`` is done for outgoing frames. ``frame_boundary``
follows the frames that another process sends.

Nothing in here does I/O, reads a clock, speaks HTTP or counts capacity.
"""
