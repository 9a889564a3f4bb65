"""TEMA-LLM, reproduced: from raw interactions and an LLM's tags to a ranked list, one stage a wing.

The folder listing is the lecture plan: `data` (notebook 01), `tags` (02), `features` (03), `models` (03, 04),
`training` (04), `explain` (05), `evaluation` (06).  Imports point along the pipeline only.

Shape letters used everywhere: **B** batch, **T** sequence length, **D** hidden size, **H** heads, **N** items,
**F** raw feature width, **G** tags in the vocabulary, **K** tags per item.  Item id 0 is padding.
"""

__version__ = "0.1.0"
