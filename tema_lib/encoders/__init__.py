"""Encoders of text and pictures, and the pretrained models behind them."""
