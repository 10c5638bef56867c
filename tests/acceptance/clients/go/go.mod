module foreman.test/client

go 1.21
