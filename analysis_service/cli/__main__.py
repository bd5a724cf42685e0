"""`python -m analysis_service.cli` is `tidegate`."""

from analysis_service.cli import main

main()
