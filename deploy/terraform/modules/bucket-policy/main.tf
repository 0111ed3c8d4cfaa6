# The IAM policies for rolling up the logs under some prefixes, with the statements that `s3-log-roller policy` prints:
# rollups are written only where nothing is, and only what ends like a log is deleted, each by its ETag.

locals {
  places = [for uri in var.prefixes : regex("^s3://(?P<bucket>[^/]+)/?(?P<prefix>.*)$", uri)]
  by_bucket = {
    for place in local.places : place.bucket => place.prefix...
  }
  # Without prefixes that another one covers; `*`, `?` and `$` are meant literally.
  starts = {
    for bucket, prefixes in local.by_bucket : bucket => [
      for prefix in sort(distinct(prefixes)) :
      replace(replace(replace(prefix, "$", "$${$}"), "*", "$${*}"), "?", "$${?}")
      if !anytrue([for other in prefixes : other != prefix && startswith(prefix, other)])
    ]
  }
  arns = { for bucket in keys(local.starts) : bucket => "arn:${var.partition}:s3:::${bucket}" }
  # What one bucket adds to each statement.
  adds = {
    for bucket, starts in local.starts : bucket => {
      listed  = jsonencode(starts)
      keys    = [for start in starts : "${local.arns[bucket]}/${start}*"]
      rollups = [for start in starts : "${local.arns[bucket]}/${start}*rollup-20??-??-??-????????.tgz"]
      logs    = [for start in starts : "${local.arns[bucket]}/${start}*20??-??-??-??-??-??-????????????????"]
    }
  }
  tags  = { for key, value in var.rollup_tags : "s3:RequestObjectTag/${key}" => value }
  owner = var.account_id == null ? {} : { StringEquals = { "aws:ResourceAccount" = var.account_id } }
}

# How many policies it takes. Buckets with the same prefixes come one after the other, since they share statements. A
# policy takes the buckets that begin within the same stretch, so it is longer than that by one bucket at most.
locals {
  max_chars = 6144 # of a managed policy, without white space (IAM quotas)
  # Of the statements around the lists, with room for the first ListBucket.
  fixed = 900 + (length(var.rollup_tags) == 0 ? 0 : 200 + length(jsonencode(local.tags))) + (var.rollup_acl == null ? 0 : 150) + (var.rollup_kms_key_arn == null ? 0 : 350) + (var.delete_versions ? 200 : 0)

  ordered = values({ for bucket, add in local.adds : "${add.listed} ${bucket}" => bucket })
  chars = [
    for index, bucket in local.ordered :
    length(jsonencode([local.adds[bucket].keys, local.adds[bucket].rollups, local.adds[bucket].rollups, var.delete ? local.adds[bucket].logs : [],
      length(var.rollup_tags) == 0 ? [] : local.adds[bucket].rollups, var.rollup_acl == null ? [] : local.adds[bucket].rollups,
    var.delete_versions ? local.adds[bucket].logs : []])) +
    (index > 0 && local.adds[bucket].listed == local.adds[local.ordered[max(0, index - 1)]].listed
    ? length(local.arns[bucket]) + 3 : length(local.arns[bucket]) + length(jsonencode(local.starts[bucket])) + 2 * length(local.starts[bucket]) + 220)
  ]
  stretch = max(1, local.max_chars - local.fixed - max(0, local.chars...))
  parts   = [for index in range(length(local.ordered)) : floor(sum(concat([0], slice(local.chars, 0, index))) / local.stretch)]
  together = [
    for part in distinct(local.parts) : [for index, bucket in local.ordered : bucket if local.parts[index] == part]
  ]
}

locals {
  statements = [
    for buckets in local.together : concat(
      [
        for listed in distinct([for bucket in buckets : local.adds[bucket].listed]) : {
          Effect   = "Allow"
          Action   = var.delete_versions ? ["s3:ListBucket", "s3:ListBucketVersions"] : ["s3:ListBucket"]
          Resource = [for bucket in buckets : local.arns[bucket] if local.adds[bucket].listed == listed]
          Condition = merge(local.owner, listed == jsonencode([""]) ? {} : {
            StringLike = {
              "s3:prefix" = [for start in distinct(flatten([for bucket in buckets : local.starts[bucket] if local.adds[bucket].listed == listed])) : "${start}*"]
            }
          })
        }
      ],
      [
        {
          Effect    = "Allow"
          Action    = var.rollups ? ["s3:AbortMultipartUpload", "s3:GetObject"] : ["s3:GetObject"]
          Resource  = flatten([for bucket in buckets : local.adds[bucket].keys])
          Condition = local.owner
        },
      ],
      !var.rollups ? [] : [
        {
          Effect    = "Allow"
          Action    = ["s3:PutObject"]
          Resource  = flatten([for bucket in buckets : local.adds[bucket].rollups])
          Condition = merge(local.owner, { Null = { "s3:if-none-match" = "false" } })
        },
        {
          Effect    = "Allow"
          Action    = ["s3:PutObject"]
          Resource  = flatten([for bucket in buckets : local.adds[bucket].rollups])
          Condition = merge(local.owner, { Bool = { "s3:ObjectCreationOperation" = "false" } })
        },
      ],
      !var.rollups || length(var.rollup_tags) == 0 ? [] : [{
        Effect    = "Allow"
        Action    = ["s3:PutObjectTagging"]
        Resource  = flatten([for bucket in buckets : local.adds[bucket].rollups])
        Condition = { StringEquals = merge(try(local.owner.StringEquals, {}), local.tags) }
      }],
      !var.rollups || var.rollup_acl == null ? [] : [{
        Effect    = "Allow"
        Action    = ["s3:PutObjectAcl"]
        Resource  = flatten([for bucket in buckets : local.adds[bucket].rollups])
        Condition = local.owner
      }],
      !var.delete ? [] : [{
        Effect    = "Allow"
        Action    = ["s3:DeleteObject"]
        Resource  = flatten([for bucket in buckets : local.adds[bucket].logs])
        Condition = merge(local.owner, { Null = { "s3:if-match" = "false" } })
      }],
      !var.delete_versions ? [] : [{
        Effect    = "Allow"
        Action    = ["s3:DeleteObjectVersion"]
        Resource  = flatten([for bucket in buckets : local.adds[bucket].logs])
        Condition = local.owner
      }],
      !var.rollups || var.rollup_kms_key_arn == null ? [] : [{
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = [var.rollup_kms_key_arn]
        Condition = { StringLike = { "kms:ViaService" = "s3.${split(":", var.rollup_kms_key_arn)[3]}.amazonaws.com*" } }
      }],
    )
  ]
  policies = [
    for statements in local.statements : jsonencode({
      Version   = "2012-10-17"
      Statement = [for statement in statements : { for name, value in statement : name => value if name != "Condition" || length(value) > 0 }]
    })
  ]
}
