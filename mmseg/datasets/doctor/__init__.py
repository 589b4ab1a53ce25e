"""`mmseg doctor`: looks at every file of a data set and tells what is wrong before a training stumbles over it.

`configured` finds the data sets of a config; `reading` examines one sample, in any process; `parallel` does so on all
cores; `summary` adds up what was found; `diagnosis` draws the conclusions; `report` puts them into words.
"""
