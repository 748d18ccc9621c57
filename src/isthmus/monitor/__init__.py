"""A model at work is watched: do new rows still look like those that it was made for, and does its threshold hold?"""
