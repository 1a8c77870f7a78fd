"""Open corpora fetched from where their owners keep them: listed, resumed, checked."""
