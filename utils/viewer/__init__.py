"""The page in the browser: it shows a session and forwards what the person does to it. The only place that imports viser."""
