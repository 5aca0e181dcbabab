"""The front room: session, panel, figures, viewer. The only place that imports widgets."""
