"""TEMA-LLM, reproduced: from raw purchases and an LLM's tags to a ranked list, one stage a wing.

The folder listing is the lecture plan: `data` (notebook 01), `tags` (02), `features` (03), `models` (03, 04),
`training` (04), `explain` (05), `evaluation` (06).  Imports point along the pipeline only.

Shape letters used everywhere: **B** batch, **T** sequence length, **D** hidden size, **H** heads, **N** items,
**F** raw feature width, **G** tags in the vocabulary, **K** tags per item.  Item id 0 is padding.
"""

import os

# torch's OpenMP threads spin at barriers; one busy neighbour then costs up to 24x.  This has to stand before `import torch`.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# The one setting for threads (`make run THREADS=2`): one leaves a shared machine in peace and repeats its numbers to the last digit.
os.environ.setdefault("OMP_NUM_THREADS", "1")

__version__ = "0.1.0"
