"""Single clicks answered by consent: the prior's answers to many other clicks on the same mesh vote on what one click means.

A person who wants a part may click anywhere in it. The answers to all those clicks should be the same, but are not; the one that
agrees best with the others is a better guess than the answer to the one click alone, most of all beside a border.
"""

from __future__ import annotations

import numpy as np

VOTERS = 192
LEVELS = 3  # finer, default, coarser


class Votes:
    """The answers to K clicks spread over a mesh of N nodes.

    nodes    (K,) int64 clicked nodes
    logits   (K, 3, N) float16; quality (K, 3) float32, IoU that the network expects of each
    area     (N,) float32, summing to 1
    """

    def __init__(self, nodes: np.ndarray, logits: np.ndarray, quality: np.ndarray, area: np.ndarray) -> None:
        self.nodes, self.logits, self.quality, self.area = nodes, logits, quality, area
        self._selected = (logits > 0).reshape(-1, len(area))
        self._clicked = np.repeat(nodes, LEVELS)
        self._weight = quality.reshape(-1).astype(np.float64) ** 2
        self._agreement = pairwise_iou(self._selected, self._selected, area)

    def elect(self, node: int, logits: np.ndarray, quality: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What one click on `node` means, from the network's own answer: logits (3, N), quality (3,).

        An answer has a vote if the own one (the candidate expected to be best) holds its click, and it holds this one. It counts by the square
        of its expected quality, the own one fully. The answer of the highest mean IoU with the voters becomes the default; finer and coarser
        are the own ones within and around it. Returns logits (3, N) float32 ascending along the first axis, and the mean IoU of each with the voters.
        """
        own = int(quality.argmax())
        proposal = logits[own] > 0
        voters = np.flatnonzero(self._selected[:, node] & proposal[self._clicked])
        agreement = pairwise_iou(proposal[None], self._selected[voters], self.area)[0]
        weight = np.concatenate([self._weight[voters], [1.0]])
        among = np.vstack([self._agreement[np.ix_(voters, voters)], agreement[None]])
        score = np.column_stack([among, np.concatenate([agreement, [1.0]])]) @ weight
        elected = int(score.argmax())
        middle = logits[own] if elected == len(voters) else self.logits.reshape(-1, len(self.area))[voters[elected]].astype(np.float32)
        answer = np.stack([np.minimum(logits[0], middle), middle, np.maximum(logits[2], middle)])
        electorate = np.vstack([self._selected[voters], proposal[None]])
        return answer, (pairwise_iou(answer > 0, electorate, self.area) @ weight / weight.sum()).astype(np.float32)


def pairwise_iou(first: np.ndarray, second: np.ndarray, area: np.ndarray) -> np.ndarray:
    """(A, B) area-weighted IoU of selections (A, N) and (B, N) bool; 0 for two empty ones."""
    one, other = first.astype(np.float32), second.astype(np.float32)
    both = (one * area) @ other.T
    either = (one @ area)[:, None] + (other @ area)[None] - both
    return both / np.maximum(either, 1e-9)
