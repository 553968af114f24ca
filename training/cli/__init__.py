"""The commands `whisker train`, `calibrate`, `evaluate`, `doctor` and `report`: options in, one result out.

May import all of `whisker.training` and `whisker.model`; slow imports happen inside the commands.
"""
