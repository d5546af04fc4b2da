-- The error for a caller whose deployment is not the one that the partition belongs to.
local FOREIGN = 'FOREIGN the partition belongs to another deployment'
