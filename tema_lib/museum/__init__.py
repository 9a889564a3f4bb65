"""The museum of real bugs: mistakes of this field, each a short broken function (notebook 08)."""
