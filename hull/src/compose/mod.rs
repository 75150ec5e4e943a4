//! Image config, label and YAML entry become `config.json` and `runtime.json`.
