"""One module per subcommand of `fusion-ros`, each with `add_arguments(parser)` and `run(arguments)`."""
