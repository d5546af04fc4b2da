-- Records a mapping that fits. Parameters: kind, name, target as JSON.
INSERT INTO sluice_targets (kind, name, target)
SELECT j.kind, j.name, j.target FROM (SELECT ? AS kind, ? AS name, ? AS target) j
ON DUPLICATE KEY UPDATE target = j.target
