-- Weathervane's state is a database of its own: both it and Dagster have a table `jobs`.
CREATE DATABASE weathervane;
