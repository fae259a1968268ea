"""``python -m pymc_glm`` is ``pymc-glm``."""

from pymc_glm.cli import main

if __name__ == "__main__":
    main()
