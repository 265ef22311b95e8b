"""The WebSocket protocol with no I/O: bytes and times in; messages, bytes and deadlines out.

wsproto decodes every frame that is not plain: fragments, compressed messages, frames beyond the
limits and frames that break a rule; the fast lane before it decodes the plain ones, which are
whole messages within the limits, and control frames. wsframe itself makes all frames it sends.

Read in this order: ``frames`` (bytes on the wire), ``close`` (codes and states), ``payload`` (the
bytes of an outgoing message), ``events`` (the results of decoding), ``decoder`` with its lanes,
``fast_lane``, ``fragment_lane``, ``deflate_lane`` and ``slow_lane`` (wsproto), ``assembler`` (a message in pieces),
``close_seeker`` (the end after ours), ``size_limits`` and ``rate_limit`` (one peer), ``deadlines`` (its timeouts),
``closing`` (how it ends), ``pool`` (all peers of a server). ``encoder`` says how sending can differ; ``rules``
names violations, ``deflate`` is compression, ``masking`` is done for outgoing frames. ``frame_boundary``
follows the frames that another process sends.

Nothing in here does I/O, reads a clock, speaks HTTP or counts capacity.
"""
