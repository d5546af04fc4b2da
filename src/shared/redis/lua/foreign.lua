-- The error for a caller of another deployment.
local FOREIGN = 'FOREIGN the partition belongs to another deployment'
