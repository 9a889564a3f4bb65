"""The words of the planted world: sixteen occasions, their kinds of things in two shops, and what one says of them.

`TABLE` is written to be read. A `#` line opens an occasion; its name never reaches the text of an item. Every other line
is one kind: shop | kind | shape, colour, accent of its picture | phrases, each a different way to call it. The four kinds
of a shop stand in the loose order in which people buy them. A `+` line holds related words for descriptions.
Hardly a word comes twice within an occasion, so that only somebody who knows what the words mean can see what belongs together.
Status: ours (nothing here is taken from a real catalogue).
"""
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of thing in one shop: what it is called and how it is drawn."""
    name: str
    shape: str
    colour: str
    accent: str
    phrases: tuple[str, ...]


@dataclass(frozen=True)
class Occasion:
    """What happens in a kitchen: kinds and related words, by domain ("A" food, "B" kitchen)."""
    name: str
    kinds: dict[str, tuple[Kind, ...]]
    related: dict[str, tuple[str, ...]]


TABLE = """
# coffee morning
A | coffee beans | beans brown tan | dark Arabica beans; whole-bean Robusta; Sumatra medium roast; Ethiopian Yirgacheffe; Italian-style coffee
A | coffee pods | cup brown white | ristretto capsules; lungo pods; decaf cartridges; single-serve java cups; intenso portions
A | barista syrup | bottle amber brown | hazelnut latte syrup; vanilla pump for mochas; caramel macchiato sauce; gingerbread cappuccino flavoring; Irish cream creamer
A | coffee biscuits | roll tan brown | almond biscotti; cantuccini for dunking; chocolate-covered espresso drops; amaretti; speculoos for your cup
+A | crema; a double shot; the morning brew; Aeropress and moka; flat whites; caffeine at dawn; dark cocoa notes; a strong Americano; drip or pour-over; roastery freshness; the cortado crowd; bitter-sweet cups
B | burr grinder | grinder gray brown | conical burr grinder; hand-cranked coffee mill; electric bean grinder; adjustable grind-size mill; ceramic burr hand mill
B | brewing machine | machine red gray | stovetop moka maker; pump-driven espresso maker; French press; pour-over dripper stand; lever brewer with group head
B | barista tools | cup gray black | spring-loaded tamper; bottomless portafilter; knock box; puck distribution needle tool; dosing funnel
B | milk frother | jug gray white | steaming pitcher; cappuccino frothing wand; latte-art jug; foam maker for macchiatos; demitasse pair with saucers
+B | crema; a steady extraction; microfoam; nine bars; the barista in you; fresh grounds; a quick ristretto; caffeine lovers; channelling-free pucks; the first cup of the day; coffee corners; cortados
# baking day
A | bread flour | sack cream brown | strong wheat flour; stone-ground rye meal; whole spelt flour; high-gluten baker's flour; malted granary blend
A | yeast and starter | packet yellow red | instant dry yeast; dehydrated sourdough culture; fresh levain starter; diastatic malt powder; dough conditioner
A | bread seeds | bowl tan black | sunflower kernel topping for loaves; rolled oat crust mix; poppy grains for rolls; caraway for rye; everything-bagel sprinkle
A | bread mixes | loaf brown cream | ciabatta mix; pumpernickel kit; focaccia blend; no-knead boule premix; brioche base
+A | slow proofing; an open crumb; crackling crust; overnight fermentation; a rustic baguette; kneading by hand; oven spring; tangy levain; home bakers; well-risen loaves; gluten strength; hearth baking
B | proofing basket | basket tan cream | rattan banneton; oval proving basket; linen couche cloth; wood-pulp brotform; dough rising tub
B | dough tools | scraper gray tan | bench scraper; scoring lame with blades; Danish dough whisk; flexible bowl scraper; kneading mat
B | loaf pan | tin gray black | lidded Pullman tin; cast-iron Dutch oven for boules; perforated baguette tray; baking stone; sandwich-loaf pan
B | bread keeping | knife gray brown | serrated slicing knife; ventilated bread box; crumb-catching cutting board; bamboo slicing guide; linen loaf bag
+B | sourdough weekends; hydration; a blistered crust; shaped batards; proving overnight; the home baker; sticky wheat; ears and scores; even steam; rolls and buns; the levain routine; artisan crumb
# sushi night
A | sushi rice | bowl black white | short-grain Japanese rice; Koshihikari; seasoned rice vinegar; Calrose sack; sticky grains for nigiri
A | nori | leaf green black | roasted seaweed sheets; yaki nori; kelp for dashi; hijiki flakes; soy wrappers for hand rolls
A | sushi sauces | bottle black red | tamari; dark shoyu; unagi glaze; ponzu; mirin
A | sushi sides | fish salmon green | wasabi paste; pickled gari ginger; tobiko roe; bonito flakes; furikake with sesame
+A | maki; raw tuna and avocado; umami; temaki parties; Tokyo counters; salmon nigiri; bento boxes; Osaka style; sashimi plates; inari pockets; California rolls; the omakase mood
B | rolling mat | mat tan green | bamboo makisu; nigiri press; hand-roll former; bazooka roller for maki; onigiri mold
B | sushi knife | knife gray black | yanagiba slicer; sashimi blade; santoku; fish-bone tweezers; fillet knife with magnolia handle
B | rice tub | bowl tan brown | wooden hangiri; rice paddle; automatic rice steamer; shamoji and fan; rinsing bowl for short grain
B | sushi plates | chopsticks red black | lacquered chopsticks; soy dipping dishes; slate serving boards for nigiri; bento compartments; wasabi grater
+B | maki evenings; raw salmon; Kyoto craft; tight seaweed rolls; seasoned grains; the itamae; uramaki; clean slices of tuna; Japanese tables; temaki; umami bites; sashimi
# cookout
A | barbecue rub | shaker red black | smoky brisket rub; Memphis dry seasoning; Montreal steak spice; chipotle pork rub; cedar-plank salmon seasoning
A | barbecue sauce | bottle red black | Kansas City BBQ sauce; Carolina mustard mop; bourbon rib glaze; hickory ketchup; Alabama white sauce
A | sausages and steak | sausage red brown | bratwurst links; dry-aged ribeye; hot dogs; burger patties; marinated chicken skewers
A | wood and smoke flavour | can brown red | liquid hickory smoke; apple-wood bacon jerky; mesquite marinade; corn relish for burgers; fire-roasted beans
+A | charred edges; backyard cookouts; low-and-slow ribs; pitmasters; tailgates; smoky bark; pulled pork; sear marks; Fourth of July; Texas brisket; open flames; steakhouse crust
B | grill | grill black red | kettle charcoal barbecue; portable gas grill; pellet smoker; hibachi; cast-iron griddle grate
B | tongs and turner | tongs gray black | long-handled tongs; burger flipper; wire brush for grates; basting mop; rib rack
B | grilling thermometer | thermometer gray red | wireless meat probe; instant-read steak thermometer; smoker temperature gauge; pit-fan controller; heat-proof aramid gloves
B | charcoal and chips | grill gray brown | chimney starter; mesquite wood chips; cedar planks; lump-charcoal basket; metal kebab skewers
+B | glowing coals; ribs; backyard Saturdays; brisket; smoke rings; seared steaks; patio parties; sizzling sausages; hot embers; flare-ups; pitmasters; tailgating
# cocktail party
A | bitters | bottle brown amber | aromatic bitters; orange Angostura-style drops; blood-orange vermouth; celery tincture; sour-cherry liqueur essence
A | mixers | can blue white | Indian tonic water; ginger beer; club soda; tomato Bloody Mary mix; margarita mix
A | bar syrups | bottle pink red | grenadine; simple syrup; orgeat; elderflower cordial; agave nectar for drinks
A | garnishes | fruit red green | maraschino cherries; martini olives; dehydrated lime wheels; rimming salt; pearl onions for Gibsons
+A | gin; a dry martini; happy hour; rum punch; bourbon old fashioneds; mojitos; the speakeasy mood; aperitifs; negronis; toasts at midnight; tequila nights; highballs
B | shaker | shaker gray blue | Boston shaker; cobbler shaker; mixing glass with spout; insulated martini tumbler; dry-shake tin
B | jigger and bar tools | spoon gray amber | double jigger; twisted bar spoon; mint muddler; speed pourers; channel zester for twists
B | bar strainer | strainer gray blue | Hawthorne strainer; julep strainer; fine-mesh absinthe sieve; absinthe fountain; bottle opener and corkscrew
B | barware glasses | glass blue pink | coupe glasses; highball tumblers; sphere ice molds; margarita stems; whiskey rocks set
+B | gin and tonics; bartenders; a proper daiquiri; happy hour; rum sours; home bars; vodka; speakeasies; the mixologist; negronis; aperitivo; old-fashioned whiskey drinks
# pasta Sunday
A | durum flour | sack yellow white | tipo 00 flour; durum semolina; egg-dough blend; gnocchi potato flour; squid-ink powder for tagliatelle
A | dried pasta | noodle yellow tan | bronze-cut rigatoni; spaghetti; bucatini; pappardelle nests; orecchiette
A | tomato sauce | jar red green | San Marzano tomatoes; marinara; arrabbiata; basil pesto; slow-simmered bolognese
A | grating cheese and oil | cheese yellow cream | Parmigiano wedge; pecorino Romano; truffle oil; cacio e pepe blend; carbonara guanciale
+A | al dente bites; nonna's Sunday; ragu; Bologna; lasagna; alfredo; garlic and basil; Naples; ravioli filling; a trattoria table; tortellini broth; carbonara
B | pasta machine | roller gray red | hand-crank dough sheeter; lasagna roller; electric noodle extruder; spaghetti cutter attachment; vermicelli chitarra
B | ravioli tools | mold gray yellow | ravioli stamp; fluted pastry wheel; tortellini cutter; gnocchi board; cavatelli paddle
B | drying rack | rack tan brown | tagliatelle drying rack; collapsible fettuccine tree; beech mattarello; semolina dusting sifter; linguine hanger
B | boiling pot | pot gray red | multi-pot with colander insert; spaghetti server; spider skimmer; Parmesan rotary grater; lasagna baking dish
+B | al dente; Sunday ragu; egg dough sheets; fresh fettuccine; nonna; Emilia-Romagna; ribbons and sheets; Italian suppers; marinara; silky semolina; carbonara; trattoria style
# pancake brunch
A | pancake mix | box yellow blue | buttermilk flapjack mix; Belgian waffle batter; buckwheat hotcake blend; silver-dollar griddle mix; crepe premix
A | maple syrup | bottle amber red | Vermont maple syrup; blueberry breakfast topping; Canadian amber grade; butter-pecan pour; birch syrup
A | bacon and eggs | egg yellow white | powdered whole eggs; turkey bacon; breakfast sausage crumbles; hash-brown shreds; dried scrambled eggs with chives
A | breakfast spreads | jar brown amber | cinnamon whipped butter; chocolate hazelnut spread; apple butter; clotted cream; honey butter
+A | lazy Sundays; fluffy stacks; diner mornings; weekend brunch; golden edges; sleepy kids; Dutch babies; French toast; bed trays; short stacks; sweet drizzle; waffle pockets
B | griddle | pan black red | electric griddle; square skillet for flapjacks; crepe pan; aebleskiver pan; double-burner hot plate
B | waffle maker | waffle gray yellow | flip Belgian waffle iron; mini heart waffler; stovetop stroopwafel press; bubble-waffle maker; nonstick waffle baker
B | batter tools | whisk gray yellow | batter dispenser; balloon whisk; squeeze bottle for shapes; pitcher with pouring lip; crepe spreader and spatula
B | breakfast serving | egg white amber | syrup dispenser; egg poacher cups; bacon press; toast rack; bed tray for brunch
+B | fluffy stacks; Sunday brunch; golden hotcakes; maple drips; diner style; sleepy weekends; sunny-side-up eggs; French toast; quick flips; kids' mornings; blueberry shortstacks; crisp waffles
# tea ceremony
A | green tea | leaf green tan | ceremonial matcha; sencha; gyokuro; dragonwell; roasted hojicha
A | black tea | can red black | Darjeeling first flush; smoky lapsang souchong; Earl Grey; Assam loose leaf; English afternoon sachets
A | herbal infusion | box green yellow | chamomile blossoms; rooibos; peppermint tisane; hibiscus infusion; jasmine oolong pearls
A | tea treats | roll cream red | butter shortbread; lavender honey sticks; scone mix; rock sugar; mochi sweets
+A | a quiet steep; bergamot; afternoon calm; high mountain gardens; delicate blossoms; tannins; the second infusion; Uji fields; a pot for two; grassy notes; chai spice; four o'clock
B | teapot | kettle green tan | cast-iron tetsubin; glass teapot; Yixing clay pot; porcelain gaiwan; bone-china pot with cozy
B | kettle | kettle gray black | gooseneck kettle; whistling kettle; variable-temperature electric kettle; copper stovetop kettle; samovar
B | infuser | strainer gray green | mesh ball infuser; loose-leaf basket; sachet squeezer; bamboo chasen; long-handled matcha scoop
B | tea cups | cup green white | yunomi; chawan; saucer and cup pair; gong fu tasting set; caddy tin
+B | oolong; matcha; a slow steep; delicate sencha; Zen calm; afternoon guests; Darjeeling; bergamot steam; second infusions; four o'clock scones; quiet rituals; blossoming leaves
# preserving season
A | pectin and sugar | packet pink white | fruit pectin; low-sugar gelling powder; jam sugar; citric acid; ascorbic color keeper
A | pickling spice | jar green yellow | dill pickle seasoning; mustard and coriander brine mix; canning salt; white distilled vinegar; bread-and-butter relish kit
A | preserves | jar red pink | damson jam; Seville marmalade; quince jelly; rhubarb chutney; peach halves in syrup
A | ferments | jar orange red | Bavarian sauerkraut; kimchi; pickled beets; preserved Meyer lemons; gherkins
+A | summer put by; pantry shelves; ripe apricots; tart brine; grandma's cellar; the garden glut; sealed lids; plums by the bushel; winter stores; a rolling boil; cucumbers; shelf life
B | canning jars | jar blue gray | wide-mouth Mason jars; quilted jelly glasses; swing-top Weck jars; two-piece lids and bands; half-pint containers with gaskets
B | canner | pot blue black | water-bath canner; pressure canner; enameled stockpot with rack; steam canner; copper jam pan
B | canning tools | tongs gray green | jar lifter; magnetic lid wand; wide-mouth funnel; headspace bubble remover; candy and jam thermometer
B | crock | jug tan brown | stoneware fermenting crock; airlock lids; glass pickle weights; cabbage shredder; cherry pitter
+B | summer fruit; pickles; a sealed pop; pantry shelves; sauerkraut; marmalade; the garden glut; safe headspace; chutney; brine; harvest weekends; home-made jam
# fitness week
A | protein powder | can black blue | whey isolate; vegan pea protein; casein night shake; collagen peptides; soy meal-replacement powder
A | superfoods | packet green yellow | spirulina; acai puree; chia seeds; wheatgrass powder; maca root
A | frozen fruit | fruit orange yellow | mango chunks; freeze-dried strawberries; wild blueberries; banana coins; pineapple tidbits
A | fitness drinks | bottle green blue | coconut water; electrolyte tablets; almond milk; pre-workout powder; oat kefir
+A | muscle recovery; gym bags; post-run fuel; vitamins; twenty grams a scoop; lean macros; antioxidants; leg day; green energy; a healthy start; amino acids; workouts
B | blender | blender gray green | high-speed blender; personal bullet blender; USB travel blender; immersion stick; countertop pulverizer with tamper
B | juicer | machine orange gray | cold-press juicer; citrus reamer; centrifugal extractor; nut-milk bag; wheatgrass press
B | shaker bottle | bottle blue black | gym shaker with wire ball; insulated sports bottle; leakproof protein tumbler; fruit-infuser flask; powder funnel keychain
B | straws and cups | glass green orange | reusable wide straws; lidded go-cups; kitchen scale for macros; ice-crushing tray; freezer pouches for produce
+B | crushed ice; whey scoops; post-gym refuels; frozen berries; kale; vitamins; marathon mornings; healthy habits; pulp-free pours; workouts; creamy acai; macros
# camping trip
A | freeze-dried meals | packet orange green | freeze-dried stew; backpacker's chili mac; just-add-water lasagna; dehydrated beef stroganoff; emergency ration pouches
A | trail mix | bowl brown yellow | trail mix; beef jerky; oat energy bars; mountain granola; pemmican
A | campfire sweets | candy white brown | jumbo marshmallows; graham crackers for s'mores; instant hot cocoa; foil banana boats kit; roasting-stick chocolate squares
A | camp tins | can green gray | canned baked beans; tinned sardines; corned beef hash; shelf-stable biscuits; powdered milk
+A | the backcountry; a long hike; starry nights; base camp; ultralight packs; scouts; the summit; tents in the rain; wilderness weekends; canoe trips; calories on the trail; the Appalachian miles
B | camp stove | stove red gray | backpacking canister stove; two-burner propane range; alcohol spirit burner; twig-fed rocket stove; folding windscreen
B | mess kit | pan gray green | titanium cook pot; nesting mess kit; enamel mug; bail-handle billy can; collapsible silicone kettle
B | camp cutlery | fork gray orange | titanium spork; extending marshmallow forks; pocket multi-tool; folding chef blade; waterproof match case
B | cooler and water | cooler blue white | hard-sided ice chest; water purifier straw; five-gallon jerrican; campfire tripod; pie iron
+B | the backcountry; scouts; star-lit suppers; hikers; ultralight packs; tents; trailheads; rainy nights outdoors; canoe portages; base camp; national parks; the wilderness
# birthday cake
A | cake mix | box pink blue | yellow layer-cake mix; red velvet batter; confetti sponge; angel-food premix; devil's-food cupcakes
A | frosting | can pink white | buttercream; royal icing powder; rolled fondant; cream-cheese frosting; whipped ganache
A | sprinkles | shaker pink yellow | rainbow nonpareils; edible glitter; silver dragees; sanding sugar; chocolate jimmies
A | cake toppers | cake pink blue | sugar numerals; gel food coloring; candy eyes; gum-paste roses; edible-ink letters
+A | candles; party hats; a fifth birthday; three tiers; unicorn themes; celebration tables; wishes; kids' parties; piped rosettes; anniversary surprises; balloons; sweet sixteen
B | cake pan | tin pink gray | springform pan; Bundt mold; round layer tins; numeral-shaped pan; mini muffin tray
B | piping set | piping blue white | piping bags with star tips; icing couplers; cookie-press decorator; fondant smoother; modelling tools for gum paste
B | turntable | stand white pink | rotating decorating stand; offset palette knife; layer leveler; side-scraper combs; tiered cupcake tower
B | party candles | candle pink yellow | glitter candles; cake dome with carrier; paper baking cups; scalloped pedestal; sparkler fountain
+B | buttercream; rosettes; tiered showpieces; birthdays; wishes; fondant ruffles; smooth ganache; sprinkles; party tables; first anniversaries; unicorn themes; cupcakes
# curry night
A | curry spices | shaker orange red | garam masala; turmeric; Kashmiri chili; cumin and fenugreek; tandoori seasoning
A | curry paste | jar orange brown | Thai green paste; vindaloo base; korma simmer sauce; rogan josh; massaman concentrate
A | lentils and rice | bowl orange yellow | aged basmati; red masoor dal; chana chickpeas; toor lentils; jasmine grains
A | naan and chutney | tortilla cream brown | garlic naan; pappadums; mango chutney; lime achar; ghee
+A | coconut gravy; Madras heat; Bengal kitchens; tikka; a fragrant biryani; Goa; Friday takeaway; paneer; cardamom warmth; dosas; slow masalas; raita
B | karahi | pan brown amber | hammered karahi; tawa; carbon-steel wok; balti dish pair; appam pan
B | spice box | tin gray orange | masala dabba; brass spice canisters; cardamom crusher; nutmeg and turmeric grater; labelled seasoning drawer set
B | mortar | mortar gray brown | granite mortar and pestle; wet grinder for dosa; electric chutney mill; suribachi; stone sil batta
B | curry serving | bowl amber red | copper handi; thali platter set; idli steamer; biryani pot; tiffin carrier
+B | garam masala; slow dal; Mumbai flavors; cumin; fragrant basmati; naan; Kerala suppers; toasted spices; tikka nights; vindaloo; coconut gravies; ghee
# fondue evening
A | fondue cheese | cheese amber yellow | Gruyere block; Emmental; ready-to-melt Swiss blend; raclette slices; Vacherin
A | crackers and bread cubes | box tan red | water crackers; rosemary flatbread; crusty dipping cubes; seeded crispbread; grissini
A | charcuterie | sausage salmon cream | prosciutto; Genoa salami; soppressata; cornichons; duck rillettes
A | cheese companions | jar purple amber | fig spread; acacia honeycomb; quince membrillo; Marcona almonds; dipping chocolate
+A | Alpine evenings; melted strings; chalet suppers; kirsch; brie and camembert; aged cheddar; a dairy cellar; Savoy; blue veins; gooey cubes; grapes and wine; ski weekends
B | fondue pot | pot red amber | ceramic caquelon; electric fondue set; butter-melting tealight warmer; raclette grill; enameled chocolate melter
B | fondue forks | fork gray red | color-coded dipping forks; raclette scrapers; party picks; lazy-susan sauce ring; gel-fuel burner
B | cheese board | board tan amber | acacia charcuterie board; slate platter with chalk; marble serving slab; glass cloche; live-edge wood plank
B | cheese knives | knife gray amber | soft-brie knife; wire slicer; Parmesan spade; cheddar plane; girolle curler
+B | Gruyere; Alpine evenings; melted Emmental; salami; chalets; wine and grapes; aged gouda; winter guests; gooey strings; brie wheels; kirsch; after-ski suppers
# salad lunch
A | salad greens | leaf green cream | baby arugula; romaine hearts; kale crunch kit; watercress; mesclun
A | dressing | bottle green yellow | balsamic vinaigrette; Caesar dressing; buttermilk ranch; green goddess; extra-virgin olive oil
A | salad toppings | bowl green red | garlic croutons; candied walnuts; pepitas; bacon bits; sun-dried tomatoes
A | grains and beans | can tan green | quinoa; marinated artichokes; hearts of palm; Kalamata olives; wheat berries for bowls
+A | crisp lunches; a light bite; Nicoise; cucumber and feta; desk meals; radishes; fresh picked; Cobb style; the farmers' market; leafy bowls; spring gardens; tossed greens
B | salad spinner | spinner green white | pull-cord spinner; lettuce crisper; herb drying basket; colander for greens; produce wash tub
B | salad bowl | bowl tan green | olive-wood tossing bowl; servers with long handles; glass trifle-size mixing dish; chilled buffet bowl; leaf-shaped plates
B | vegetable slicer | scraper green gray | mandoline; cucumber spiralizer; tomato knife; julienne peeler; lettuce chopper
B | dressing maker | bottle yellow gray | oil-and-vinegar cruets; vinaigrette emulsifier; lunch container with dressing cup; garlic press; herb shears
+B | leafy greens; arugula; crisp lunches; radishes; romaine; garden picks; balsamic; meal prep; cucumbers; light suppers; Caesar; raw vegetables
# taco fiesta
A | tortillas | tortilla yellow tan | corn tortillas; nixtamal masa harina; crunchy shells; flour burrito wraps; blue-maize chips
A | salsa | jar red orange | salsa verde; fire-roasted pico; guacamole; mole poblano; chipotle in adobo
A | chiles | chili red green | dried ancho; jalapeno slices; habanero hot sauce; guajillo pods; serrano powder
A | taco fillings | can red yellow | refried pinto beans; carnitas; barbacoa seasoning; queso dip; achiote paste
+A | Oaxaca; street carts; cilantro and lime; enchiladas; fajitas; Tuesday fiestas; Baja fish; nachos; smoky heat; quesadillas; Mexico City; cotija crumbles
B | tortilla press | press gray red | cast-iron tortilladora; comal; masa scoop; flour-wrap dough press; tamale steamer
B | tortilla warmer | basket red yellow | insulated tortilla pouch; terracotta keeper; woven cloth-lined basket; chip-and-dip platter; enchilada baker
B | molcajete | mortar gray red | lava-rock molcajete; avocado tool; lime squeezer; salsa chopper; molinillo
B | taco holders | rack red yellow | taco stand; shell-shaping fryer clamp; fajita sizzler; condiment caddy for fillings; chile roasting rack
+B | guacamole; Oaxaca; carnitas; fiesta tables; street-cart style; masa; burritos; pico de gallo; smoky chiles; quesadillas; Baja evenings; cilantro and lime
"""


def read_occasions(table: str = TABLE) -> tuple[Occasion, ...]:
    """Read the word table. A line that is not in its form is a ValueError naming the line."""
    occasions: list[Occasion] = []
    for number, line in enumerate(table.strip().splitlines(), start=1):
        cells = [cell.strip() for cell in line.split("|")]
        if line.startswith("# "):
            occasions.append(Occasion(line[2:].strip(), {"A": (), "B": ()}, {}))
        elif len(cells) == 2 and cells[0] in ("+A", "+B"):
            occasions[-1].related[cells[0][1]] = _split(cells[1])
        elif len(cells) == 4 and cells[0] in ("A", "B") and len(cells[2].split()) == 3:
            kind = Kind(cells[1], *cells[2].split(), phrases=_split(cells[3]))
            occasions[-1].kinds[cells[0]] += (kind,)
        else:
            raise ValueError(f"planted_words.TABLE, line {number}: expected '# occasion', 'A | kind | shape colour accent | "
                             f"phrases' or '+A | words', found {line!r}; correct that line")
    return tuple(occasions)


def _split(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split(";") if part.strip())


# Brands, makers' words and everyday praise: shared by all occasions, so they say nothing about any of them.
BRANDS = {
    "A": ("Harrow & Finch", "Bluebarn", "Oldmill Lane", "Tansy", "Pebble Creek", "Marlowe", "Greta's", "Northfold", "Saltwhistle", "Quill Farm"),
    "B": ("Ostrava", "Kettering", "Lumen & Oak", "Brightside", "Halvard", "Copperline", "Nimbus", "Pinewick", "Stellan", "Ardmore"),
}
MODIFIERS = {
    "A": ("organic", "small-batch", "premium", "all-natural", "gluten-aware", "traditional", "gourmet", "classic", "unsalted", "fair-trade", "reserve", "old-fashioned"),
    "B": ("heavy-duty", "compact", "professional", "dishwasher-safe", "nonslip", "hand-finished", "classic", "lightweight", "deluxe", "everyday", "stackable", "commercial"),
}
SIZES = {
    "A": ("8 oz", "12 oz", "1 lb", "pack of 3", "pack of 6", "family size", "2 x 250 g", "sampler", "16 oz", "case of 12"),
    "B": ("small", "medium", "large", "set of 2", "set of 4", "10-inch", "2-quart", "gift boxed", "3-piece", "extra large"),
}
# Sentences about the occasion; {x} and {y} are related words.
HINTS = (
    "Think {x}.", "Best with {x} and {y}.", "For {x}, or {y}.", "Made for {x}.", "Reach for it when {x} calls.", "{x}? Yes. {y}? Also.",
    "Brings {x} home.", "Hints of {x}, dreams of {y}.", "Goes far beyond {x}.", "A friend of {x}.", "Fans of {x} agree.", "Ready for {x} at any time.",
    "Where {x} meets {y}.", "Born from a love of {x}.", "Nothing says {x} better.", "Speaks fluent {x}.", "Ideal around {x}.", "If {x} is your thing: welcome.",
    "Our answer to {x}.", "Turns {x} into a habit.", "With {x} in mind.", "All about {x}; a little about {y}.", "Perfect next to {x}.", "For people who know {x}.",
)
# Praise in three short pieces: no piece has five words, so that no run of five words repeats often.
PRAISE = {
    "A": (("Packed", "Sealed", "Sorted", "Selected", "Sourced", "Prepared", "Checked", "Stored", "Blended", "Bottled or bagged"),
          ("by hand", "in small lots", "every Thursday", "near the coast", "under cool air", "with great care", "by a family firm", "without additives", "at the mill", "in our own hall", "twice a month", "since 1968"),
          ("for full taste", "and shipped quickly", "to keep it fresh", "with no artificial color", "so nothing is lost", "in recycled paper", "and labelled by date", "for picky eaters", "with a resealable top", "as it should be", "for a generous pantry", "and honest in price")),
    "B": (("Built", "Shaped", "Finished", "Tested", "Polished", "Designed", "Assembled", "Weighted", "Balanced", "Engineered"),
          ("to last", "by one workshop", "for tight cupboards", "with rounded corners", "from solid stock", "for both hands", "in two colors", "without sharp seams", "for daily duty", "on sturdy feet", "with a soft grip", "in simple lines"),
          ("and easy to rinse", "under long warranty", "and quiet in use", "so it never slips", "with spare parts included", "for any drawer", "and pleasant to hold", "with clear markings", "and safe when hot", "for gift givers too", "and quick to assemble", "with no rust")),
}
TERSE = ("Model {n}", "No. {n} {m}", "Series {l}, {s}", "Type {l}{n}", "The {n} {s}", "Item {n}-{l}", "{l}{n} {m}", "Edition {n}, {s}", "Lot {n} {s}", "{l}-line {m} {n}")
