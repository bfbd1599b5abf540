"""The fault catalogue: a test for each row, named `test_fault_<ROW>_...`, on a real worker, with its defence."""
