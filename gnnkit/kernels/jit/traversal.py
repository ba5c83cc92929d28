"""Numba loop of the breadth-first search. Imports only the preset."""

from __future__ import annotations

from gnnkit.kernels.backend import jit


@jit
def khop(indptr, indices, seeds, hops, queue, distance):
    """Queue-based search; overwrites queue (scratch [num_nodes]) and distance (filled with -1)."""
    head, tail = 0, 0
    for s in range(seeds.shape[0]):
        if distance[seeds[s]] == -1:
            distance[seeds[s]] = 0
            queue[tail] = seeds[s]
            tail += 1
    while head < tail:
        node = queue[head]
        head += 1
        if distance[node] == hops:
            break  # the queue is ordered by distance, so all that follow are as far
        for k in range(indptr[node], indptr[node + 1]):
            sender = indices[k]
            if distance[sender] == -1:
                distance[sender] = distance[node] + 1
                queue[tail] = sender
                tail += 1
