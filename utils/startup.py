"""Imported first by the scripts that people wait for: no garbage is looked for while modules are imported, which leave
none. That takes a quarter of a second of torch's import; `utils.errors.run_cli` begins to look."""

import gc

gc.disable()
