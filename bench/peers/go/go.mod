module gortbench

go 1.24
