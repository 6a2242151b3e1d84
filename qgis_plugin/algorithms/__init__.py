"""The Processing algorithms: each turns its parameters into one job and the job's result into outputs."""
