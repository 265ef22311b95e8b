"""A server under moderate load with churn for as long as one likes, and a picture of it.

``python -m tests.soak [SECONDS [FOLDER]]`` writes ``soak.png`` and ``index.html`` and exits 1 on growth.

* ``server``: the resources, in a process of their own.
* ``load``: the clients, most of them well-behaved, and the samples taken meanwhile.
* ``growth``: the rules by which growth is judged.
* ``report``: the picture and the page.
"""
