-- The error for a caller of another deployment. A caller names the deployment with its format, `name/5`. A
-- state of format 4 has the name alone. To callers it is absent, so they align the partition, which takes it
-- over.
local FOREIGN = 'FOREIGN the partition belongs to another deployment'
local FORMER = '^(.*)/'
