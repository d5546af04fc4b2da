-- The error for a caller of another deployment or format: a caller names the deployment with its format, `name/7`.
local FOREIGN = 'FOREIGN the partition belongs to another deployment or another version'
