"""A server under moderate load with churn for as long as one likes, and a picture of it.

``python -m tests.soak [SECONDS [FOLDER]]`` writes ``soak.png`` and ``index.html`` and exits 1 on growth.

* ``server``: what is served, in a process of its own.
* ``load``: the clients, most of them well-behaved, and the samples taken meanwhile.
* ``growth``: what counts as growth.
* ``report``: the picture and the page.
"""
