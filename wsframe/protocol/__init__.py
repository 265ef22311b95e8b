"""The WebSocket protocol with no I/O: bytes and times in; messages, bytes and deadlines out.

wsproto decides everything that is not plain: control frames, fragments, extensions, errors,
closing. ``fast_lane`` stands in front of it and decodes whole, plain data frames only.

Read in this order: ``frames`` (bytes on the wire), ``close`` (codes and states), ``payload`` (the
bytes of an outgoing message), ``events`` (the results of decoding), ``decoder`` with ``fast_lane``,
``size_limits`` and ``rate_limit`` (one peer), ``deadlines`` (its timeouts), ``closing`` (how it ends),
``pool`` (all peers of a server). ``encoder`` says how sending can differ; ``rules`` names violations,
``deflate`` is compression, ``masking`` is done for outgoing frames.

Nothing in here does I/O, reads a clock, speaks HTTP or counts capacity.
"""
